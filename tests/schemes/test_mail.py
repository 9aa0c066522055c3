import smtplib

import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes.mail import MailSettings, mail_settings, mailer, send_mail


class Server:
    """Stands for smtplib.SMTP and keeps what was done."""

    log: list = []  # noqa: RUF012

    def __init__(self, host, port, timeout):
        self.log.append((host, port))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def starttls(self):
        self.log.append("starttls")

    def login(self, user, password):
        self.log.append((user, password))

    def send_message(self, message):
        self.log.append((message["From"], message["To"], message["Subject"], message.get_content()))


@pytest.fixture
def server(monkeypatch):
    Server.log = []
    monkeypatch.setattr(smtplib, "SMTP", Server)
    return Server


def test_settings_from_environment_and_file(tmp_path):
    path = tmp_path / "mail.toml"
    assert mail_settings({}, path) is None
    path.write_text('host = "mail.here"\nsecurity = "starttls"\nuser = "me"\n')
    assert mail_settings({}, path) == MailSettings("mail.here", 587, "me", "me", "", "starttls")
    given = {"RELION4PLUGIN_SMTP_HOST": "other", "RELION4PLUGIN_SMTP_PORT": "2525", "RELION4PLUGIN_SMTP_FROM": "lab@here"}
    assert mail_settings(given, path) == MailSettings("other", 2525, "lab@here", "me", "", "starttls")


@pytest.mark.parametrize(
    ("text", "message"), [("host = 'a'\nport = 'x'", "port is 'x'"), ("secret = 1", "unknown keys secret"), ("host =", "cannot read")]
)
def test_wrong_settings(tmp_path, text, message):
    (tmp_path / "mail.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        mail_settings({}, tmp_path / "mail.toml")
    with pytest.raises(UserError, match="security is 'magic'"):
        mail_settings({"RELION4PLUGIN_SMTP_HOST": "a", "RELION4PLUGIN_SMTP_SECURITY": "magic"}, tmp_path / "none")


def test_a_mail_is_sent(server):
    send_mail(MailSettings("mail.here", 587, "lab@here", "me", "secret", "starttls"), "you@there", "Scheme: prep", "failed\n")
    assert server.log == [("mail.here", 587), "starttls", ("me", "secret"), ("lab@here", "you@there", "Scheme: prep", "failed\n")]


def test_trouble_with_mail_is_only_reported(monkeypatch, tmp_path):
    lines = []
    monkeypatch.setattr("relion4plugin.schemes.mail.SETTINGS_FILE", tmp_path / "none")
    monkeypatch.setenv("RELION4PLUGIN_SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("RELION4PLUGIN_SMTP_PORT", "1")
    mailer(lines.append)("you@there", "s", "t")
    mailer(lines.append)("a\nb", "s", "t")
    monkeypatch.delenv("RELION4PLUGIN_SMTP_HOST")
    mailer(lines.append)("you@there", "s", "t")
    assert len(lines) == 3 and all("WARNING" in line for line in lines)
