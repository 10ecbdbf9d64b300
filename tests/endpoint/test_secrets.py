"""A secret in --extra-body is sent, and stands nowhere else."""

import json

import pytest
from click.testing import CliRunner
from server import FaultyServer
from stubs import make_rows

from hf_rap import EndpointEngine, Rollouts, collect_in_run
from hf_rap.cli import cli
from hf_rap.stats.secrets import masked, secrets_in

BODY = {
    "api_key": "s3cr3t-one",
    "headers": {"Authorization": "Bearer s3cr3t-two"},
    "note": "sk-s3cr3tthree",
    "top_k": 5,
}
SECRETS = ("s3cr3t-one", "s3cr3t-two", "s3cr3tthree")


def everything_in(folder):
    """All bytes of all files, and all cells of the Parquet files."""
    import pyarrow.parquet as pq

    text = ""
    for path in folder.rglob("*"):
        if path.is_file():
            text += path.read_bytes().decode("latin-1")
            if path.suffix == ".parquet":
                text += json.dumps(pq.read_table(path).to_pylist(), default=str)
                text += str(pq.read_schema(path).metadata)
    return text


def test_it_is_in_no_file_that_the_command_writes(tmp_path, monkeypatch, caplog):
    """Neither in the run, nor in the evidence, scored and selected, nor in the card; the server gets it."""
    monkeypatch.chdir(tmp_path)
    make_rows(12).to_parquet("rows.parquet")
    out = []
    with FaultyServer(draws_n="knows") as server:
        for extra in ([], ["--timeout", "5m", "--retries", "3"]):  # started again in another way of running
            done = CliRunner().invoke(
                cli,
                [
                    "rollouts",
                    "rows.parquet",
                    "--endpoint",
                    server.url,
                    "--model",
                    "m",
                    "--attempts",
                    "2",
                    "--run",
                    "run",
                    "--out",
                    "e.parquet",
                    "--extra-body",
                    json.dumps(BODY),
                    *extra,
                ],
            )
            assert done.exit_code == 0, done.exception
            out.append(done.output)
        assert all(body["api_key"] == BODY["api_key"] for body in server.bodies)
    for command in (["score", "e.parquet", "--out", "s.parquet"], ["select", "s.parquet", "--out", "k.parquet"]):
        assert CliRunner().invoke(cli, command).exit_code == 0
    written = everything_in(tmp_path) + "".join(out) + caplog.text
    assert "top_k" in written
    assert [secret for secret in SECRETS if secret in written] == []
    assert written.count("*** (") > 3


def test_two_secrets_are_two_runs_and_one_is_one(tmp_path):
    """By their digests; a run from before they were masked goes on."""
    ds = make_rows(6)

    def collect(key):
        engine = EndpointEngine(server.url, model="m", extra_body={"api_key": key})
        assert key not in repr(engine)
        collect_in_run(ds, Rollouts(engine, attempts=1), str(tmp_path / "run"))
        return len(server.bodies)

    with FaultyServer() as server:
        first = collect("key one")
        assert collect("key one") == first
        manifest = next(tmp_path.glob("run/*/manifest.json"))
        plain = json.loads(manifest.read_text())
        plain["settings"]["extra_body"] = {"api_key": "key one"}
        manifest.write_text(json.dumps(plain))
        assert collect("key one") == first
        assert collect("key two") == 2 * first


def test_a_part_of_an_earlier_release_gives_no_secret_away(tmp_path):
    """Its settings hold one in plain; what comes out of the run does not, and nothing is asked again."""
    import pyarrow as pa

    from hf_rap.runs.folder import RunFolder

    ds, url = make_rows(6), str(tmp_path / "run")
    with FaultyServer() as server:
        rollouts = Rollouts(EndpointEngine(server.url, model="m", extra_body={"api_key": "s3cr3t"}), attempts=1)
        masked_evidence = collect_in_run(ds, rollouts, url)
        before = len(server.bodies)
        folder = RunFolder(url)
        (fingerprint,) = folder.fingerprints()
        (name,) = folder.parts(fingerprint)
        part = folder.read_part(fingerprint, name)
        digest = json.loads(masked_evidence["rap_settings"][0])["extra_body"]["api_key"]
        place = part.column_names.index("rap_settings")
        plain = [text and text.replace(digest, "s3cr3t") for text in part["rap_settings"].to_pylist()]
        folder.remove(f"{fingerprint}/{name}")
        folder.write_part(fingerprint, part.set_column(place, "rap_settings", pa.array(plain)), first=0, stop=1)
        evidence = collect_in_run(ds, rollouts, url)
        assert len(server.bodies) == before
    assert evidence.remove_columns("images").to_list() == masked_evidence.remove_columns("images").to_list()
    assert digest.startswith("*** (")


def test_a_server_that_repeats_it_does_not_put_it_into_evidence(tmp_path):
    """In its refusal or its reply."""

    class Repeats(FaultyServer):
        def reply(self, request, body, n):
            from server import completion_of, send

            send(request, 200, completion_of(body, [f"your key is {body['api_key']}"]))

    ds = make_rows(2)
    with Repeats() as server:
        engine = EndpointEngine(server.url, model="m", extra_body=BODY, retries=0)
        evidence = collect_in_run(ds, Rollouts(engine, attempts=1), str(tmp_path / "run"))
    assert evidence["rap_image_responses"][0] == ["your key is ***"]
    assert [secret for secret in SECRETS if secret in everything_in(tmp_path)] == []


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "apiKey",
        "API-KEY",
        "x-api-key",
        "Authorization",
        "password",
        "client_secret",
        "access_token",
        "token",
        "hfToken",
        "private_key",
        "Set-Cookie",
        "aws_secret_access_key",
    ],
)
def test_names_of_secrets(name):
    """In whatever spelling, also inside of others."""
    assert masked({"a": [{name: "x y"}]})["a"][0][name].startswith("*** (")
    assert list(secrets_in({"a": [{name: "x y"}]})) == ["x y"]
    assert masked(masked({name: "x"})) == masked({name: "x"}) != masked({name: "y"})


@pytest.mark.parametrize(
    "body",
    [
        {"max_tokens": 5, "return_token_ids": True, "stop_token_ids": [1, 2], "skip_special_tokens": False},
        {"eos_token": "</s>", "tokenizer": "me/hf_model", "stop": ["Basic", "Bearer"], "guided_regex": "hf_.*"},
        {"chat_template_kwargs": {"enable_thinking": False}, "key": "value", "prompt": "sk-", "min_tokens": "3"},
        {"url": "http://host:8000/v1", "author": "me", "monkey": "x", "token": None, "api_key": ""},
    ],
)
def test_what_is_no_secret_stays_as_it_is(body):
    """Tokens of a model are none."""
    assert masked(body) == body
    assert list(secrets_in(body)) == []
