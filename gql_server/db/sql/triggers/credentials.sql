-- A notification when a credential ends, or lets its holder do something else: what is open in its name ends at once, in every
-- process. It names the key of the credential; `*` stands for all, who then come again, and are told whether they may. Where the
-- queue of notifications is nearly full, nothing is said, so that who signs out still can: what ended is looked for as well.

CREATE OR REPLACE FUNCTION gql_credential_notice(notice text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF pg_notification_queue_usage() < 0.9 THEN
    PERFORM pg_notify('gql_credentials', notice);
  END IF;
END $$;

CREATE OR REPLACE FUNCTION gql_session_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM gql_credential_notice(TG_ARGV[0] || ' ' || encode(old.id, 'hex'));
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION gql_service_token_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM gql_credential_notice(TG_ARGV[0] || ' ' || encode(old.digest, 'hex'));
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION gql_credentials_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM gql_credential_notice('changed *');
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER session_ended AFTER DELETE ON browser_sessions
FOR EACH ROW EXECUTE FUNCTION gql_session_notice('ended');

CREATE OR REPLACE TRIGGER session_changed AFTER UPDATE OF person, expires_at ON browser_sessions
FOR EACH ROW WHEN ((old.person, old.expires_at) IS DISTINCT FROM (new.person, new.expires_at))
EXECUTE FUNCTION gql_session_notice('changed');

CREATE OR REPLACE TRIGGER sessions_emptied AFTER TRUNCATE ON browser_sessions
FOR EACH STATEMENT EXECUTE FUNCTION gql_credentials_emptied();

CREATE OR REPLACE TRIGGER service_token_ended AFTER DELETE ON service_tokens
FOR EACH ROW EXECUTE FUNCTION gql_service_token_notice('ended');

CREATE OR REPLACE TRIGGER service_token_revoked AFTER UPDATE OF revoked_at ON service_tokens
FOR EACH ROW WHEN (new.revoked_at IS NOT NULL AND old.revoked_at IS NULL)
EXECUTE FUNCTION gql_service_token_notice('ended');

CREATE OR REPLACE TRIGGER service_token_changed AFTER UPDATE OF digest, role, unit, provider, scopes, expires_at ON service_tokens
FOR EACH ROW
WHEN ((old.digest, old.role, old.unit, old.provider, old.scopes, old.expires_at)
  IS DISTINCT FROM (new.digest, new.role, new.unit, new.provider, new.scopes, new.expires_at))
EXECUTE FUNCTION gql_service_token_notice('changed');

CREATE OR REPLACE TRIGGER service_tokens_emptied AFTER TRUNCATE ON service_tokens
FOR EACH STATEMENT EXECUTE FUNCTION gql_credentials_emptied();
