"""Rules of the ledger and their SQL, each stated once; from here, its verbs: submit, claim, beat, finish and recover."""

from gql_server.ledger.attempts import beat, ends_simply, finish, finish_and_store, note, release
from gql_server.ledger.claims import claim
from gql_server.ledger.recovery import Recovered, recover
from gql_server.ledger.submission import NewJob, Submitted, submit

__all__ = [
    "NewJob",
    "Recovered",
    "Submitted",
    "beat",
    "claim",
    "ends_simply",
    "finish",
    "finish_and_store",
    "note",
    "recover",
    "release",
    "submit",
]
