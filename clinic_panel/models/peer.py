"""Other archives, and what is still owed to them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from clinic_panel.models.base import Base, BigKey, enum
from clinic_panel.models.imaging import Instance


class Peer(Base):
    """A DICOM application entity that may call us, and that studies may be forwarded to."""

    __tablename__ = "peer"
    __table_args__ = (CheckConstraint("port between 0 and 65535", name="port"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    peer_name: Mapped[str] = mapped_column(String(64), unique=True)
    ae_title: Mapped[str] = mapped_column(String(16), unique=True)
    host: Mapped[str] = mapped_column(String(255), default="")
    port: Mapped[int] = mapped_column(default=104)
    forwards: Mapped[bool] = mapped_column(default=False)
    # Whether it is asked by storage commitment for what it was sent.
    commits: Mapped[bool] = mapped_column(default=False)
    # Whether it is told of studies that are here (Instance Availability Notification).
    notifies: Mapped[bool] = mapped_column(default=False)
    # Encrypted when we call; and where it wants the results of its storage commitment requests.
    uses_tls: Mapped[bool] = mapped_column(default=False)
    reports_on_same: Mapped[bool] = mapped_column(default=False)
    is_active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}


class ForwardingState(StrEnum):
    """How far one instance has come towards one peer."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    REFUSED = "refused"


class Confirmation(Base):
    """One storage commitment request of ours that a peer has not answered yet (PS3.4 J)."""

    __tablename__ = "confirmation"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    peer_pk: Mapped[int] = mapped_column(ForeignKey("peer.id"), index=True)
    transaction_uid: Mapped[str] = mapped_column(String(64), unique=True)
    asked_at: Mapped[datetime]


class AvailabilityNotice(Base):
    """A study that a peer is told of; once, unless more of it comes (PS3.4 R)."""

    __tablename__ = "availability_notice"
    __table_args__ = (UniqueConstraint("peer_pk", "study_pk"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    peer_pk: Mapped[int] = mapped_column(ForeignKey("peer.id"))
    study_pk: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    # How many objects it was told of last.
    number_of_instances: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)  # that it refused
    last_status: Mapped[int | None]
    asked_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class Forwarding(Base):
    """The outbox: one instance owed to one peer, once."""

    __tablename__ = "forwarding"
    __table_args__ = (UniqueConstraint("peer_pk", "instance_pk"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    peer_pk: Mapped[int] = mapped_column(ForeignKey("peer.id"))
    instance_pk: Mapped[int] = mapped_column(ForeignKey("instance.id"), index=True)
    state: Mapped[ForwardingState] = enum(
        ForwardingState, default=ForwardingState.WAITING, index=True
    )
    attempts: Mapped[int] = mapped_column(default=0)
    # DIMSE status of the last answer; None: no answer yet.
    last_status: Mapped[int | None]
    delivered_at: Mapped[datetime | None]
    # When the peer said that it keeps it, and the request that asks for that now.
    confirmed_at: Mapped[datetime | None]
    confirmation_pk: Mapped[int | None] = mapped_column(ForeignKey("confirmation.id"), index=True)
    created_at: Mapped[datetime]

    peer: Mapped[Peer] = relationship()
    instance: Mapped[Instance] = relationship()
