"""Files of every shape, and the upload of one without HTTP."""

from typing import Any

from sqlalchemy import insert

from gql_server.carbon.catalog import module_by_key
from gql_server.commands.ingestion import Ingestion, start_ingestion
from gql_server.db.models import Upload, UploadChunk
from gql_server.ledger import Submitted, wakeup
from gql_server.worker import registry
from tests.faults.processes import ROOT
from tests.faults.site import OPERATOR, Site

PROCESS, EQUIPMENT = "process_emissions", "equipment_electric_consumption"
PROCESS_HEADER = b"unit_institutional_id,category,subcategory,quantity,note\n"
EQUIPMENT_HEADER = (
    b"unit_institutional_id,equipment_id,name,equipment_class,sub_class,"
    b"active_usage_hours_per_week,standby_usage_hours_per_week\n"
)


def example(name: str) -> bytes:
    """A file of `examples/`."""
    return (ROOT / "examples" / name).read_bytes()


def process_file(*quantities: float, unit: str = "10208") -> bytes:
    """One entry of carbon dioxide for each quantity; 1.5 kg a unit."""
    return PROCESS_HEADER + b"".join(f"{unit},CO2,Glace carbonique,{quantity},\n".encode() for quantity in quantities)


def equipment_file(count: int, unit: str = "10208") -> bytes:
    """So many laptops, 27.456 kg each."""
    return EQUIPMENT_HEADER + b"".join(f"{unit},E{n},Dell,Laptop,Golden,40,128\n".encode() for n in range(count))


async def upload(site: Site, year: int, module: str, content: bytes, **ingestion: Any) -> Submitted:
    """Start the file's pipeline, as POST /uploads does when the last byte has arrived."""
    known = module_by_key(module)
    assert known is not None
    async with site.engine.begin() as connection:
        values = {"provider": OPERATOR.provider, "filename": f"{module}.csv", "size_bytes": len(content)}
        upload_id = await connection.scalar(insert(Upload).values(values).returning(Upload.id))
        assert upload_id is not None
        await connection.execute(insert(UploadChunk).values(upload_id=upload_id, seq=0, data=content))
        wanted = Ingestion(year=year, module_type_id=known.id, **ingestion)
        submitted = await start_ingestion(connection, registry, OPERATOR, wanted, upload_id)
    await wakeup.wake_all(site.engine)
    return submitted


async def total(site: Site, module: str, unit: str = "10208") -> float | None:
    """The stored total of one module of a unit, in kg."""
    known = module_by_key(module)
    assert known is not None
    return await site.value(
        """SELECT (m.stats ->> 'total')::float8 FROM carbon_report_modules m JOIN carbon_reports r ON r.id = m.carbon_report_id
        JOIN units u ON u.id = r.unit_id WHERE u.institutional_id = :unit AND m.module_type_id = :module""",
        unit=unit,
        module=known.id,
    )
