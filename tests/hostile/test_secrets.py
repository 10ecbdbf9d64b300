"""Keys, passwords and certificates: what is secret stands nowhere, and a server has to be who it says."""

import asyncio
import datetime as dt
import ipaddress
import json
import logging
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hf_rap import collect_in_run, list_runs
from hf_rap.cli import cli
from hf_rap.engines.endpoint import EndpointEngine
from hf_rap.engines.endpoint_ask import Ask
from hf_rap.engines.endpoint_client import ask_all
from hf_rap.engines.endpoint_facts import server_facts
from hf_rap.engines.endpoint_tls import tls_context
from hf_rap.errors import EngineError, RapError, RowError, SettingError, logger_of, printable, without_passwords
from hf_rap.runs.folder import RunFolder

FINE = {"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}], "data": [{"id": "m", "owned_by": "me"}]}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(certificate, key) of a server on this machine, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now.replace(year=now.year + 1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def tls_server(certificate, monkeypatch):
    """The URL of a server with that certificate."""
    monkeypatch.setattr("hf_rap.engines.endpoint_client._FIRST_WAIT", 0.0)

    class Says(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            body = json.dumps(FINE).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Says)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def answer(url):
    engine = EndpointEngine(url, model="m", retries=0)
    ask = Ask(lambda: [{"role": "user", "content": "q"}], {"model": "m", "extra_body": {}}, 1)
    (one,) = asyncio.run(ask_all(engine, None, [ask], trial=True))
    return one


def test_a_server_that_nobody_vouches_for_is_not_asked(tls_server, monkeypatch):
    """Neither for replies nor for facts."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    refused = answer(tls_server)
    assert isinstance(refused, RowError)
    assert "CERTIFICATE_VERIFY_FAILED" in refused.message
    assert asyncio.run(server_facts(tls_server, "m", None)) == {"models": "no answer that can be read (URLError)"}


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_of_the_house_are_honoured(tls_server, certificate, monkeypatch, tmp_path, variable):
    """By the variables that OpenSSL, curl and git read; in a folder a certificate is named by a hash, as c_rehash does."""
    place = certificate[0]
    if variable == "SSL_CERT_DIR":
        place = tmp_path
        named = hash_of_subject(certificate[0])
        (tmp_path / f"{named}.0").write_bytes(certificate[0].read_bytes())
    monkeypatch.setenv(variable, str(place))
    (reply,) = answer(tls_server)
    assert reply.text == "4"
    assert asyncio.run(server_facts(tls_server, "m", None)) == {"owned_by": "me"}


def hash_of_subject(path):
    """The name that OpenSSL looks for: the first four bytes of a SHA-1 over the subject in its canonical form."""
    from hashlib import sha1

    # SET { SEQUENCE { OID 2.5.4.3, UTF8String "test" } }
    part = bytes.fromhex("310d300b06035504030c0474657374")
    return f"{int.from_bytes(sha1(part).digest()[:4], 'little'):08x}"


def test_a_variable_that_names_nothing_is_said(monkeypatch, tmp_path):
    """OpenSSL would trust nobody, and every answer would fail for a reason that is not told."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(EngineError, match=r"SSL_CERT_FILE names '.*gone\.pem', which is not there"):
        tls_context()


def test_without_variables_the_store_of_the_system_counts(monkeypatch):
    """The same that Python's own `ssl` has."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    names = {tuple(entry["subject"]) for entry in ssl.create_default_context().get_ca_certs()}
    assert names <= {tuple(entry["subject"]) for entry in tls_context().get_ca_certs()}
    assert tls_context().verify_mode == ssl.CERT_REQUIRED


PASSWORDS = [
    "s3://user:geheim@bucket/run",
    "ftp://user:geheim@127.0.0.1/run",
    "simplecache::s3://user:geheim@bucket/run",
    "webdav+https://user:geheim@host/run",
    "sftp://user:geheim@host:22/run",
    "s3:/user:geheim@bucket/run",
]


@pytest.mark.parametrize("url", PASSWORDS)
def test_a_run_whose_url_holds_a_password_is_refused(url):
    """Before it is opened, and the password is not repeated."""
    for call in (RunFolder, list_runs, lambda place: collect_in_run(None, None, place)):
        with pytest.raises(RapError) as caught:
            call(url)
        assert "geheim" not in str(caught.value)
    with pytest.raises(SettingError, match="a URL with a password in it"):
        RunFolder(url)


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "s3://user:geheim@bucket/x.parquet"],
        ["inspect", "https://user:geheim@127.0.0.1:1/x.parquet"],
        ["runs", "s3://user:geheim@bucket/run"],
        ["export", "https://u:geheim@h/x", "out"],
        ["pull", "https://u:geheim@h/x", "out", "--version", "1.0.0"],
        ["diff", "https://u:geheim@h/x", "https://u:geheim@h/y"],
        ["score", "https://u:geheim@h/x.parquet", "--out", "x.parquet"],
    ],
)
def test_a_command_does_not_repeat_a_password(arguments, monkeypatch, tmp_path):
    """Whatever it says of the address."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, RapError)
    assert "geheim" not in str(result.exception) + result.output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://me:secret@bucket/run", "s3://me:...@bucket/run"),
        ("at https://me:a%40b@host:8000/v1?x=1.", "at https://me:...@host:8000/v1?x=1."),
        ("hf://datasets/me/name@main", "hf://datasets/me/name@main"),
        ("http://host:8000/a@b", "http://host:8000/a@b"),
        ("mail me@host, at 12:30", "mail me@host, at 12:30"),
        ("hf_rap.regrade(ds)", "hf_rap.regrade(ds)"),
    ],
)
def test_passwords_in_addresses_are_left_out(text, shown):
    """Ports, revisions and mail addresses are none."""
    assert without_passwords(text) == shown


@pytest.mark.parametrize("text", ["a\x1b[31mb", "a\u202eb", "a\rb", "a\0b", "a\x9bb", "a\udc80b"])
def test_logs_and_errors_steer_no_terminal(caplog, text):
    """Neither do passwords stand there; lines stay lines."""
    log = logger_of("hf_rap.test")
    with caplog.at_level(logging.WARNING, "hf_rap.test"):
        log.warning("%s: it is\n\t%r at s3://a:geheim@b", text, 1)
    for said in (caplog.messages[0], str(RapError(f"{text}: it is\n\t1 at s3://a:geheim@b"))):
        assert said == f"{printable(text)}: it is\n\t1 at s3://a:...@b"
        assert said.replace("\n", "").replace("\t", "").isprintable()


def test_every_module_logs_through_it():
    """No logger of the package is made in another way."""
    import pkgutil
    from pathlib import Path

    import hf_rap

    sources = [Path(module.module_finder.path) for module in pkgutil.walk_packages(hf_rap.__path__, "hf_rap.")]
    files = {file for folder in sources for file in folder.glob("*.py")}
    wrong = [file.name for file in files if "getLogger(__name__" in file.read_text() and file.name != "errors.py"]
    assert len(files) > 200
    assert wrong == []
