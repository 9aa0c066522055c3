"""Mail about schemes through the user's own SMTP server; no shell and no mail program is involved.

Settings are taken from the environment (RELION4PLUGIN_SMTP_HOST, _PORT, _USER, _PASSWORD, _FROM, _SECURITY) and else from
~/.config/relion4plugin/mail.toml with the keys host, port, user, password, from and security (none, starttls or tls).
"""

import os
import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from relion4plugin.errors import UserError

_PREFIX = "RELION4PLUGIN_SMTP_"
_KEYS = ("host", "port", "user", "password", "from", "security")
_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_PATIENCE = 20.0
SETTINGS_FILE = Path("~/.config/relion4plugin/mail.toml")


@dataclass(frozen=True)
class MailSettings:
    """How mail leaves this machine."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = ""
    security: str = "none"


def mail_settings(environment: Mapping[str, str] | None = None, path: Path = SETTINGS_FILE) -> MailSettings | None:
    """Return the user's settings; None where there are none.

    Raises
    ------
    UserError
        If they are incomplete or wrong.
    """
    given = os.environ if environment is None else environment
    values = _from_file(path.expanduser()) | {key: given[_PREFIX + key.upper()] for key in _KEYS if given.get(_PREFIX + key.upper())}
    if not values.get("host"):
        return None
    security = values.get("security", "none")
    if security not in _PORTS:
        raise UserError(f"mail: security is '{security}'; expected one of {', '.join(_PORTS)}")
    port = values.get("port", str(_PORTS[security]))
    if not port.isdecimal():
        raise UserError(f"mail: port is '{port}'; expected a number")
    user = values.get("user", "")
    sender = values.get("from") or user or f"relion4plugin@{values['host']}"
    return MailSettings(values["host"], int(port), sender, user, values.get("password", ""), security)


def _from_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        import tomllib
    except ImportError as error:  # Python 3.10
        raise UserError(f"{path} needs Python 3.11; set {_PREFIX}HOST and the like in the environment instead") from error
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    unknown = sorted(set(table) - set(_KEYS))
    if unknown:
        raise UserError(f"{path} has unknown keys {', '.join(unknown)}; expected {', '.join(_KEYS)}")
    return {key: str(value) for key, value in table.items()}


def send_mail(settings: MailSettings, address: str, subject: str, text: str) -> None:
    """Send one mail.

    Raises
    ------
    UserError
        If the server cannot be reached or refuses it.
    """
    message = EmailMessage()
    try:
        message["Subject"], message["From"], message["To"] = subject, settings.sender, address
        message.set_content(text)
        connect = smtplib.SMTP_SSL if settings.security == "tls" else smtplib.SMTP
        with connect(settings.host, settings.port, timeout=_PATIENCE) as server:
            if settings.security == "starttls":
                server.starttls()
            if settings.user:
                server.login(settings.user, settings.password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:  # ValueError: an address with a line break
        raise UserError(f"no mail to {address} through {settings.host}: {error}") from error


def mailer(report: Callable[[str], None]) -> Callable[[str, str, str], None]:
    """Return what sends mail for a scheme; what goes wrong is reported and never stops it."""

    def send(address: str, subject: str, text: str) -> None:
        try:
            settings = mail_settings()
            if settings is None:
                report(f" + WARNING: no mail to {address}: set {_PREFIX}HOST or write {SETTINGS_FILE}")
            else:
                send_mail(settings, address, subject, text)
        except UserError as error:
            report(f" + WARNING: {error}")

    return send
