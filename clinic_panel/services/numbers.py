"""Numbers given out one after the other, each once, however many desks ask."""

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from clinic_panel.models.site import NumberRange


def take(session: Session, key: str) -> int:
    """Return the next number of a range; a rollback gives it back.

    The row stays locked until the caller's transaction ends, so that no two take the same.
    """
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    first = dialect.insert(NumberRange).values(key=key, last=1)
    following = first.on_conflict_do_update(
        index_elements=[NumberRange.key], set_={"last": NumberRange.last + 1}
    )
    return int(session.execute(following.returning(NumberRange.last)).scalar_one())
