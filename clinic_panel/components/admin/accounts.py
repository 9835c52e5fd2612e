"""Who may sign in, as what: the accounts and what an administrator does with them."""

from __future__ import annotations

from typing import Any

from clinic_panel.components.admin.section import Section
from clinic_panel.components.board import Board
from clinic_panel.components.tasks import Done, Field, Task, Values
from clinic_panel.context import Context
from clinic_panel.errors import Invalid, Unconfirmed
from clinic_panel.models.user import Role
from clinic_panel.services import accounts
from clinic_panel.services.accounts import UserRow
from clinic_panel.services.passwords import MIN_LENGTH

ROLES = [role for role in Role if role is not Role.SYSTEM]
PASSWORD_HELP = f"At least {MIN_LENGTH} characters; a sentence is easy to remember."
COLUMNS: list[dict[str, Any]] = [
    {"id": "username", "label": "User name", "sub": "name", "strong": True},
    {"id": "role", "label": "Role", "kind": "chip", "small": True, "width": "140px"},
    {
        "id": "state",
        "label": "State",
        "kind": "chip",
        "width": "150px",
        "tones": {"Active": "green", "Disabled": "outline", "Locked": "red"},
        "sub": "until",
    },
    {"id": "seen", "label": "Last seen", "width": "170px", "hide": "second"},
    {"id": "actions", "label": "Actions", "kind": "actions", "width": "190px", "shown": 1},
]


class Accounts(Section):
    """The accounts."""

    id = "users"
    label = "Users"

    def build(self) -> list[Any]:
        """Make the table."""
        self.board = Board(
            title="Users",
            columns=COLUMNS,
            facets=[{"id": "role", "label": "Role"}],
            searchable=True,
            search_label="Filter users",
            buttons=[{"id": "add", "label": "Add user", "icon": "add", "primary": True}],
        )
        self.board.param.watch(self._acted, "action")
        return [self.board]

    def reload(self) -> None:
        """Show every account."""
        self.rows = {row.id: row for row in accounts.list_users(self.ctx)}
        self.board.rows = [self._line(row) for row in self.rows.values()]

    def _line(self, row: UserRow) -> dict[str, Any]:
        state = "Active" if row.is_active else "Disabled"
        if row.locked_until_at is not None:
            state = "Locked"
        return {
            "id": row.id,
            "label": row.username,
            "username": row.username,
            "name": row.display_name,
            "role": row.role.value.capitalize(),
            "state": state,
            "until": f"until {self.moment(row.locked_until_at)[-8:]}" if state == "Locked" else "",
            "seen": self.moment(row.seen_at),
            "actions": self._actions(row),
        }

    def _actions(self, row: UserRow) -> list[dict[str, Any]]:
        is_own = row.id == self.ctx.actor.user_pk
        actions: list[dict[str, Any]] = []
        if row.locked_until_at is not None:
            actions.append({"id": "unlock", "label": "Unlock", "primary": True})
        actions.append({"id": "password", "label": "Reset password"})
        if not is_own:  # nobody changes their own rights
            actions.append({"id": "role", "label": "Change role"})
            actions.append(
                {"id": "disable", "label": "Disable", "danger": True}
                if row.is_active
                else {"id": "enable", "label": "Enable"}
            )
        return actions

    def _acted(self, event: Any) -> None:
        if event.new is None:
            return
        if event.new["action"] == "add":
            self.tasks.open(AddUser(self.ctx))
            return
        row = self.rows[event.new["id"]]
        match event.new["action"]:
            case "password":
                self.tasks.open(ResetPassword(self.ctx, row))
            case "role":
                self.tasks.open(ChangeRole(self.ctx, row))
            case "disable":
                self.tasks.attempt(lambda: self._disable(row.username))
            case "enable":
                self.tasks.attempt(lambda: self._enable(row.username))
            case "unlock":
                self.tasks.attempt(lambda: self._unlock(row.username))

    def _disable(self, username: str) -> Done:
        accounts.disable(self.ctx, username)
        return Done(f"{username} can no longer sign in.", lambda: self._enable(username))

    def _enable(self, username: str) -> Done:
        accounts.enable(self.ctx, username)
        return Done(f"{username} may sign in again.")

    def _unlock(self, username: str) -> Done:
        accounts.unlock(self.ctx, username)
        return Done(f"{username} may try again at once.")


class AddUser(Task):
    """A new account."""

    title = "Add a user"
    submit_label = "Add user"

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def fields(self) -> list[Field]:
        """Ask for name, role and a first password."""
        return [
            {"name": "username", "label": "User name", "required": True, "width": "half"},
            {"name": "display_name", "label": "Name to show", "width": "half"},
            _role_field(Role.RECEPTIONIST),
            _password_field("password", "Password", PASSWORD_HELP),
            _password_field("again", "Password again", ""),
        ]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Make the account."""
        del agreed
        accounts.add_user(
            self.ctx,
            values["username"],
            role=Role(values["role"]),
            password=_typed_twice(values),
            display_name=values["display_name"],
        )
        return Done("The account is ready.")


class ResetPassword(Task):
    """Another password for somebody who forgot theirs."""

    title = "Reset the password"
    submit_label = "Reset password"

    def __init__(self, ctx: Context, row: UserRow) -> None:
        self.ctx, self.row = ctx, row
        self.intro = f"{row.username} is signed out everywhere and signs in with the new one."

    def fields(self) -> list[Field]:
        """Ask twice."""
        return [
            _password_field("password", "New password", PASSWORD_HELP),
            _password_field("again", "New password again", ""),
        ]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Set it."""
        del agreed
        accounts.set_password(self.ctx, self.row.username, _typed_twice(values))
        return Done(f"{self.row.username} has a new password.")


class ChangeRole(Task):
    """Another role for an account."""

    title = "Change the role"
    submit_label = "Change role"

    def __init__(self, ctx: Context, row: UserRow) -> None:
        self.ctx, self.row = ctx, row
        self.intro = f"{row.username} is signed out and signs in again in the new role."

    def fields(self) -> list[Field]:
        """Ask for the role."""
        return [_role_field(self.row.role)]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Change it; *Undo* gives the old one back."""
        del agreed
        before = self.row.role

        def back() -> Done:
            accounts.change_role(self.ctx, self.row.username, before)
            return Done(f"{self.row.username} is {before.value} again.")

        accounts.change_role(self.ctx, self.row.username, Role(values["role"]))
        return Done(f"{self.row.username} is {values['role']} now.", back)


def _role_field(value: Role) -> Field:
    return {
        "name": "role",
        "label": "Role",
        "kind": "select",
        "required": True,
        "value": value.value,
        "options": [{"value": role.value, "label": role.value.capitalize()} for role in ROLES],
    }


def _password_field(name: str, label: str, help_text: str) -> Field:
    return {
        "name": name,
        "label": label,
        "kind": "password",
        "required": True,
        "width": "half",
        "help": help_text,
    }


def _typed_twice(values: Values) -> str:
    if values["password"] != values["again"]:
        raise Invalid("The two passwords differ.", field="again")
    return str(values["password"])
