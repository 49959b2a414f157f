"""`hnscc doctor`: the shipped files pass, each thing taken away or mistyped is named with its line; patient files are
found by what they are, and Ray's own packaging leaves them out."""

import copy
import json
import logging
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest
import yaml
from ray._private import ray_constants
from ray._private.runtime_env import packaging
from stores import make_store

from hnscc.base.errors import InputError
from hnscc.commands.cli import main
from rayjobs.doctor import check_cluster
from rayjobs.doctor.marked_yaml import read_marked
from rayjobs.doctor.shell_commands import ray_starts, unpinned
from rayjobs.doctor.uploads import check_working_dir, uploaded
from rayjobs.patient_files import patient_files, refuse_patient_files

ROOT = Path(__file__).parents[2]
AWS, ONPREM = (ROOT / "cluster.yaml").read_text(), (ROOT / "deploy/onprem.yaml").read_text()


@pytest.fixture(autouse=True)
def stand_in_project(monkeypatch, tmp_path_factory):
    """Where `ray up` is called; a home folder without a token of this machine's user."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def hnscc(capsys, monkeypatch):
    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hnscc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, error = capsys.readouterr()
        return ended.value.code or 0, out, error

    return run


def problems_of(text: str, tmp_path: Path) -> list[tuple[int, str]]:
    file = tmp_path / "changed.yaml"
    file.write_text(text)
    return [(each.line, each.problem) for each in check_cluster(file).problems]


def changed(text: str, old: str, new: str) -> str:
    """The first of these occurrences replaced."""
    assert old in text
    return text.replace(old, new, 1)


def line_of(text: str, marker: str, nth: int = 1) -> int:
    """The line of the nth line that holds the marker, from 1."""
    return [number for number, line in enumerate(text.splitlines(), 1) if marker in line][nth - 1]


@pytest.mark.parametrize("name", ["cluster.yaml", "deploy/onprem.yaml"])
def test_the_shipped_files_pass(hnscc, name):
    code, out, _ = hnscc("doctor", "--cluster", name)
    assert code == 0, out
    assert out.endswith(f"{name}: every field and safeguard is in order\n")
    assert all(": note: " in line for line in out.splitlines()[:-1])


def test_what_the_user_must_fill_in_is_named(hnscc):
    lines = hnscc("doctor", "--cluster", "cluster.yaml")[1].splitlines()
    named = {int(line.split(":")[1]) for line in lines if "FILL-IN" in line}
    assert named == {n for n, line in enumerate(AWS.splitlines(), 1) if "-FILL-IN" in line}


# (what is taken away from cluster.yaml, what stands there instead, a mark of the line to be named, the finding)
TAKEN_AWAY = {
    "head token": (
        "RAY_AUTH_MODE=token ray start --head",
        "ray start --head",
        "ray start --head",
        "ask for a token",
    ),
    "worker token": (
        "RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 ray start --address",
        "RAY_USAGE_STATS_ENABLED=0 ray start --address",
        "ray start --address",
        "ask for a token",
    ),
    "token off": (
        "RAY_AUTH_MODE=token ray start --head",
        "RAY_AUTH_MODE=disabled ray start --head",
        "RAY_AUTH_MODE=disabled",
        "turns token authentication off",
    ),
    "token off in set-up": (
        "head_setup_commands:",
        "  - export RAY_AUTH_MODE=disabled\nhead_setup_commands:",
        "RAY_AUTH_MODE=disabled",
        "turns token authentication off",
    ),
    "token in the file": (
        "RAY_AUTH_MODE=token ray start --head",
        "RAY_AUTH_MODE=token RAY_AUTH_TOKEN=abc ray start --head",
        "RAY_AUTH_TOKEN=abc",
        "the token itself",
    ),
    "token closed": (
        " && chmod 600 ~/.ray/auth_token",
        "",
        "~/.ray/auth_token: ",
        "nothing closes the token",
    ),
    "head statistics": (" --disable-usage-stats", "", "ray start --head", "usage statistics on"),
    "worker statistics": (
        "RAY_USAGE_STATS_ENABLED=0 ray",
        "ray",
        "ray start --address",
        "usage statistics on",
    ),
    "statistics on": (
        "RAY_USAGE_STATS_ENABLED=0 ray",
        "RAY_USAGE_STATS_ENABLED=1 ray",
        "ray start --address",
        "turns Ray's usage statistics on",
    ),
    "dashboard open": (
        "--dashboard-host=127.0.0.1",
        "--dashboard-host=0.0.0.0",
        "0.0.0.0",
        "dashboard listens beyond",
    ),
    "dashboard unsaid": (" --dashboard-host=127.0.0.1", "", "ray start --head", "keeps the dashboard"),
    "debugger": (
        "--dashboard-port=8265",
        "--dashboard-port=8265 --ray-debugger-external",
        "--ray-debugger-external",
        "debugger listens beyond",
    ),
    "autoscaling": (
        " --autoscaling-config=~/ray_bootstrap_config.yaml",
        "",
        "ray start --head",
        "start no workers",
    ),
    "no head": ("start --head", "start", "ray start --disable", "makes no head"),
    "worker alone": (" --address=$RAY_HEAD_IP:6379", "", "ray start", "does not join the head"),
    "loose pip": (
        "    boto3==1.44.5 botocore",
        "    'boto3>=1.44.5' botocore",
        "boto3>=1.44.5",
        "installs boto3>=1.44.5 without",
    ),
    "no boto3": (
        AWS[AWS.index("head_setup_commands:") : AWS.index("head_start_ray_commands:")],
        "head_setup_commands: []\n",
        "head_setup_commands",
        "cannot start workers",
    ),
    "no constraints": (
        " --constraint ~/hnscc/code/constraints.txt",
        "",
        "install --quiet ~/hnscc",
        "without a fixed version",
    ),
    "loose image": (
        "auth:",
        "docker: {image: 'rayproject/ray:latest-py311-gpu', container_name: ray}\nauth:",
        "docker:",
        "no fixed version",
    ),
    "mount all": ("hnscc: hnscc\n", "hnscc: .\n", "hnscc: .", "working or home folder"),
    "mount home": ("hnscc: hnscc\n", "hnscc: '~'\n", "hnscc: '~'", "working or home folder"),
    "mount above": ("hnscc: hnscc\n", "hnscc: ../\n", "hnscc: ../", "working or home folder"),
    "mount data": ("hnscc: hnscc\n", "hnscc: data/cohort\n", "data/cohort", "data or runs"),
    "mount scan": ("hnscc: hnscc\n", "hnscc: x/p1.nii.gz\n", "p1.nii.gz", "imaging file"),
    "synced runs": (
        "rsync_exclude:",
        "cluster_synced_files: [~/hnscc/runs]\nrsync_exclude:",
        "cluster_synced_files",
        "data or runs",
    ),
    "IMDSv2 optional": ("HttpTokens: required", "HttpTokens: optional", "HttpTokens: optional", "IMDSv1"),
    "IMDSv2 unsaid": ("HttpTokens: required, ", "", "MetadataOptions", "IMDSv1"),
    "disk open": ("Encrypted: true", "Encrypted: false", "Encrypted: false", "not encrypted"),
    "disk unsaid": (" Encrypted: true,", "", "Ebs:", "not encrypted"),
    "security group": ("      SecurityGroupIds: [sg-FILL-IN]\n", "", "node_config:", "SSH from 0.0.0.0/0"),
    "open to all": (
        "auth:",
        "  security_group:\n    IpPermissions:\n      - {FromPort: 22, ToPort: 22, IpProtocol: tcp,\n"
        "         IpRanges: [{CidrIp: 0.0.0.0/0}]}\nauth:",
        "FromPort",
        "whole Internet",
    ),
    "keys in the file": (
        "auth:",
        "  aws_credentials: {aws_access_key_id: AKIAEXAMPLE, aws_secret_access_key: secret}\nauth:",
        "aws_credentials",
        "keys stand in the file",
    ),
    "image": ("      ImageId: ami-FILL-IN\n", "", "node_config:", "no fixed machine image"),
    "image by name": ("ami-FILL-IN", "resolve:ssm:/x/latest/ami-id", "resolve:ssm", "no fixed machine image"),
    "spot": ("      InstanceMarketOptions: {MarketType: spot}\n", "", "node_config", "not spot"),
    "spot head": (
        "      IamInstanceProfile: {Name: hnscc-head}\n",
        "      IamInstanceProfile: {Name: hnscc-head}\n      InstanceMarketOptions: {MarketType: spot}\n",
        "InstanceMarketOptions",
        "head is a spot instance",
    ),
    "role": ("      IamInstanceProfile: {Name: hnscc-head}\n", "", "node_config:", "no role of its own"),
    "trials on the head": ("CPU: 0, ", "", "resources:", "offers CPUs to trials"),
    "GPU of the head": ("GPU: 0", "GPU: 1", "GPU: 1", "offers GPUs to trials"),
    "limit": ("max_workers: 4\n", "", "cluster_name", "max_workers is missing"),
    "no workers": ("max_workers: 4\n", "max_workers: 0\n", "max_workers: 0", "no worker can ever start"),
    "key pair": (
        "ssh_user: ubuntu",
        "ssh_user: ubuntu\n  ssh_private_key: ~/.ssh/id",
        "node_config:",
        "whose key AWS puts",
    ),
}
# Where the line is not the first that holds the mark.
NTH = {"spot": 2, "worker alone": 2}
TWICE = {"key pair"}


@pytest.mark.parametrize("name", TAKEN_AWAY)
def test_each_missing_safeguard_is_named_with_its_line(name, tmp_path):
    old, new, mark, finding = TAKEN_AWAY[name]
    text = changed(AWS, old, new)
    found = problems_of(text, tmp_path)
    assert len(found) == 1 + (name in TWICE), found
    assert found[0][0] == line_of(text, mark, NTH.get(name, 1))
    assert finding in found[0][1]


def test_a_token_that_reaches_no_machine_is_named(tmp_path):
    text = changed(AWS, "  ~/.ray/auth_token: ~/.ray/auth_token\n", "")
    assert problems_of(text, tmp_path) == [
        (line_of(text, "file_mounts:"), "no token reaches the machines, so Ray would not start on them")
    ]


@pytest.mark.parametrize(
    ("old", "new", "mark", "finding"),
    [
        ("export RAY_AUTH_MODE=token ", "export ", "ray start --head", "ask for a token"),
        ("--dashboard-host=127.0.0.1", "--dashboard-host=::", "--dashboard-host=::", "dashboard listens"),
        ("head_ip: 10", "head_pi: 10", "head_pi", "provider.head_pi is no field"),
        ("worker_ips: [", "worker_ips: 5 #", "worker_ips", "provider.worker_ips is 5"),
        ("ssh_user: ", "ssh_usr: ", "ssh_usr", "auth.ssh_usr is no field"),
        ("--constraint ~/hnscc/code/constraints.txt ", "", "pip install --quiet", "without a fixed version"),
        ("  ~/hnscc/code/hnscc: hnscc", "  ~/hnscc/code/hnscc: runs", "code/hnscc: runs", "data or runs"),
    ],
)  # fmt: skip
def test_the_on_premises_file_is_checked_too(old, new, mark, finding, tmp_path):
    text = changed(ONPREM, old, new)
    found = problems_of(text, tmp_path)
    assert (line_of(text, mark), True) in [(line, finding in problem) for line, problem in found]


# (what is changed in cluster.yaml, to what, a mark of the line to be named, the finding, what it should be)
MISTYPED = [
    ("max_workers: 4", "max_wokers: 4", "max_wokers", "max_wokers is no field", "max_workers"),
    ("region: eu", "regoin: eu", "regoin", "provider.regoin is no field", "region"),
    ("region: eu-north-1", "region: Europe", "Europe", "provider.region is 'Europe'", "a region such as eu-north-1"),
    ("cache_stopped_nodes: false", "cache_stopped_nodes: 'no'", "'no'", "cache_stopped_nodes is 'no'", "true or false"),
    ("type: aws", "type: asw", "type: asw", "none that Ray knows", "aws, local"),
    ("idle_timeout_minutes: 10", "idle_timeout_minutes: soon", "soon", "idle_timeout_minutes is 'soon'", "a number"),
    ("max_workers: 4", "max_workers: -1", "max_workers: -1", "max_workers is -1", "0 or more"),
    ("max_workers: 4", "max_workers: 4.5", "max_workers: 4.5", "max_workers is 4.5", "a whole number"),
    ("ssh_user: ubuntu", "ssh_usr: ubuntu", "ssh_usr", "auth.ssh_usr is no field", "ssh_user"),
    ("head_node_type: head", "head_node_type: haed", "haed", "names no kind of machine", "one of head, gpu"),
    ("min_workers: 0", "min_worker: 0", "min_worker:", "gpu.min_worker is no field", "min_workers"),
    ("min_workers: 0", "min_workers: -2", "min_workers: -2", "gpu.min_workers is -2", "0 or more"),
    ("DeviceName: /dev/sda1", "VirtualName: disk", "VirtualName: disk", "BlockDeviceMappings.0 has no", "DeviceName"),
    ("[__pycache__]", "[5]", "[5]", "rsync_exclude.0 is 5", "text"),
    ("cluster_name: hnscc", "cluster_name: my cluster", "my cluster", "cluster_name is 'my cluster'", "letters"),
    ("min_workers: 0", "min_workers: 5", "max_workers: 4", "want 5 at least", "5 or more"),
    ("{CPU: 8,", "{CPU: 0.5,", "0.5", "resources.CPU is 0.5", "a whole number"),
    ("InstanceType: g6.2xlarge", "InstanceTyp: g6.2xlarge", "InstanceTyp:", "InstanceTyp is no field", "InstanceType"),
    ("InstanceType: m7i.xlarge", "InstanceType: large", "large", "InstanceType is 'large'", "a type such as g6.xlarge"),
    ("[sg-FILL-IN]", "sg-FILL-IN", "SecurityGroupIds", "SecurityGroupIds is 'sg-FILL-IN'", "a list"),
    ("[sg-FILL-IN]", "[mine]", "[mine]", "SecurityGroupIds.0 is 'mine'", "an id such as sg-"),
    ("MarketType: spot", "MarketType: sport", "sport", "MarketType is 'sport'", "one of spot"),
    ("HttpTokens: required", "HttpTokens: yes", "HttpTokens: yes", "HttpTokens is true", "one of required, optional"),
    ("Encrypted: true", "Encrypted: 'yes'", "Encrypted: 'yes'", "Encrypted is 'yes'", "true or false"),
    ("VolumeSize: 150", "VolumeSize: 150 GB", "150 GB", "VolumeSize is '150 GB'", "a whole number"),
    ("{Name: hnscc-head}", "hnscc-head", "Profile: hnscc-head", "Profile is 'hnscc-head'", "keys with values"),
    ("rsync_exclude: [", "rsync_exlude: [", "rsync_exlude", "rsync_exlude is no field", "rsync_exclude"),
    ("- ray stop", "- {ray: stop}", "{ray: stop}", "head_start_ray_commands.0 is keys with values", "text"),
    ("hnscc: hnscc\n", "hnscc: 5\n", "hnscc: 5", "hnscc/code/hnscc is 5", "text"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "mark", "finding", "expected"), MISTYPED)
def test_each_invalid_field_is_named_with_its_line(old, new, mark, finding, expected, tmp_path):
    text = changed(AWS, old, new)
    (tmp_path / "changed.yaml").write_text(text)
    found = [
        each
        for each in check_cluster(tmp_path / "changed.yaml").problems
        if each.line == line_of(text, mark) and finding in each.problem
    ]
    assert len(found) == 1
    assert expected in found[0].expected


def test_a_missing_region_and_a_key_given_twice(tmp_path):
    text = changed(AWS, "  region: eu-north-1\n", "")
    assert (line_of(text, "provider:"), "provider has no region") in problems_of(text, tmp_path)
    text = changed(AWS, "auth:", "max_workers: 8\nauth:")
    ((line, problem),) = problems_of(text, tmp_path)
    assert line == line_of(text, "max_workers: 8")
    assert problem.startswith("the key max_workers stands here again")
    text = changed(AWS, "Encrypted: true", "Encrypted: true, Encrypted: false")
    assert any("the key Encrypted stands here again" in problem for _, problem in problems_of(text, tmp_path))


def test_ray_defaults_of_what_is_left_out_are_checked_too(tmp_path):
    text = AWS[: AWS.index("head_start_ray_commands:")] + AWS[AWS.index("worker_start_ray_commands:") :]
    found = problems_of(text, tmp_path)
    assert {line for line, _ in found} == {line_of(text, "cluster_name")}
    for what in ("ask for a token", "usage statistics", "the dashboard listens beyond this machine"):
        assert any(what in each and "head_start_ray_commands is missing" in each for _, each in found)


def test_five_problems_are_five_lines(hnscc, tmp_path):
    text = AWS
    for name in ("worker token", "dashboard open", "mount data", "IMDSv2 optional"):
        text = changed(text, *TAKEN_AWAY[name][:2])
    text = changed(text, "region: eu", "regoin: eu")  # no region is the sixth
    text = changed(text, "regoin: eu", "region: eu-north-1\n  regoin: eu")
    (tmp_path / "cluster.yaml").write_text(text)
    code, out, error = hnscc("doctor", "--cluster", tmp_path / "cluster.yaml")
    assert (code, error) == (2, "")
    marks = ["regoin", "HttpTokens: optional", "data/cohort", "0.0.0.0", "ray start --address"]
    lines = [line for line in out.splitlines() if ": note: " not in line]
    assert len(lines) == 6
    for line, mark in zip(lines[:5], marks, strict=True):
        assert line.startswith(f"{tmp_path}/cluster.yaml:{line_of(text, mark)}: ")
        assert "; expected " in line
        assert "; do: " in line
    assert lines[5].endswith("5 problems")
    code, out, _ = hnscc("doctor", "--cluster", tmp_path / "cluster.yaml", "--json")
    told = json.loads(out)
    assert (code, told["fine"], told["working_dir"]) == (2, False, None)
    assert [each["line"] for each in told["cluster"]["problems"]] == [line_of(text, mark) for mark in marks]
    assert {"line", "problem", "expected", "do"} == told["cluster"]["problems"][0].keys()


@pytest.mark.parametrize(
    ("text", "line", "finding"),
    [
        ("cluster_name: x\nprovider: {type: aws\nauth:\n", 3, "not YAML"),
        ("cluster_name: x\n\tprovider: 1\n", 2, "not YAML"),
        ("a: &a [*a]\n", 1, "alias stands within itself"),
        ("a: 1\n[b]: 2\n", 2, "a key must be a word"),
        ("a: !!python/object/apply:os.system [true]\n", 1, "not YAML"),
        ("", 1, "no `ray up` file"),
        ("- a\n", 1, "no `ray up` file"),
        ("a: 1\n---\nb: 2\n", 2, "not YAML"),
    ],
)
def test_what_is_no_cluster_file_is_told_with_its_line(text, line, finding, tmp_path):
    ((found, problem),) = problems_of(text, tmp_path)
    assert found == line
    assert finding in problem


def test_files_that_cannot_be_read_and_nothing_to_do(hnscc, tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00a: 1")
    for arguments in (["--cluster", tmp_path / "none.yaml"], ["--cluster", tmp_path / "bytes.yaml"], []):
        code, out, error = hnscc("doctor", *arguments)
        assert (code, out) == (2, "")
        assert error.startswith("error: ")
        assert error.count("what to do:") == 1


def test_an_alias_is_told_where_it_stands(tmp_path):
    text = changed(AWS, "MetadataOptions: {", "MetadataOptions: &m {").replace(
        "HttpTokens: required", "HttpTokens: optional"
    )
    later = "MetadataOptions: {HttpTokens: optional, HttpEndpoint: enabled, HttpPutResponseHopLimit: 1}"
    text = changed(text, later, "MetadataOptions: *m")
    assert [line for line, _ in problems_of(text, tmp_path)] == [line_of(text, "&m")] * 2
    marked = read_marked("a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\n")
    assert marked.data["b"] == {"x": 1, "y": 2}
    assert [marked.line(("b", key)) for key in ("x", "y", "z")] == [1, 4, 2]


def paths_of(value, path=()):
    yield path
    for key, each in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from paths_of(each, (*path, key))


def test_no_wrong_value_anywhere_makes_it_stumble(tmp_path):
    """Each value of both files in turn, replaced by one of another kind."""
    file = tmp_path / "fuzzed.yaml"
    wrong = [None, 5, "x y", ["x"], {"x": None}, [[]], True]
    whole = [yaml.safe_load(AWS), yaml.safe_load(ONPREM)]
    places = [(one, path) for one in whole for path in paths_of(one) if path]
    assert len(places) > 100
    for turn, (one, path) in enumerate(places):
        fuzzed = copy.deepcopy(one)
        place = fuzzed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = wrong[turn % len(wrong)]
        file.write_text(yaml.safe_dump(fuzzed))
        assert all(each.line >= 1 for each in check_cluster(file).problems)


def test_which_variables_a_command_runs_with():
    def variables(text):
        (command,) = ray_starts(text)
        return command.variables

    assert variables("A=1 ray start --head") == {"A": "1"}
    assert variables("export A=1 B='2 3'; unset B; /opt/bin/ray start") == {"A": "1"}
    assert variables("A=1; ray start") == {}, "set, but not exported"
    assert variables("A=1 true && ray start") == {}, "another command's"
    assert variables("export A=1\nexec ray start > log 2>&1") == {"A": "1"}
    assert variables("ray start; export A=1") == {}, "too late"
    assert variables("bash -lc 'export A=1; ray start'") == {"A": "1"}
    assert variables("export A=1; if true; then B=2 ray start; fi") == {"A": "1", "B": "2"}
    assert variables("docker exec -e A=1 box ray start") == {"A": "1"}
    assert ray_starts("echo ray start; # ray start\n ray stop") == []
    (command,) = ray_starts("ray start --a=1 --b 2 --a=3")
    assert [command.option(name) for name in ("--a", "--b", "--c")] == ["3", "2", None]
    with pytest.raises(ValueError, match="quotation"):
        ray_starts("ray start 'open")


@pytest.mark.parametrize(
    ("command", "loose"),
    [
        ("pip install ray==2.60.0 'torch==2.14.1'", []),
        ("pip install ray", ["ray"]),
        ("python -m pip install 'ray[default]>=2.60' x==1.*", ["ray[default]>=2.60", "x==1.*"]),
        ("~/venv/bin/pip3.11 install -q -c constraints.txt ~/code[cluster]", []),
        ("pip install ~/code[cluster]", ["~/code[cluster]"]),
        ("pip install --requirement=all.txt", []),
        ("which ray || pip install -U https://x.org/latest/ray.whl", ["https://x.org/latest/ray.whl"]),
        ("pip install --index-url https://x.org/simple a==1 > log", []),
        ("pip --version; conda install ray", []),
    ],
)
def test_which_versions_are_fixed(command, loose):
    assert unpinned(command) == loose


def test_a_mounted_folder_with_scans_is_told_by_kind_alone(monkeypatch, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/Smith_John").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 300)
    monkeypatch.chdir(tmp_path)
    text = changed(AWS, "hnscc: hnscc\n", "hnscc: code\n")
    ((line, problem),) = problems_of(text, tmp_path)
    assert (line, problem) == (line_of(text, "hnscc: code"), "this mount holds 1 DICOM file")
    text = changed(AWS, "hnscc: hnscc\n", "hnscc: code/Smith_John\n")
    ((line, problem),) = problems_of(text, tmp_path)
    assert problem == "this mount is of the kind: DICOM file"


def test_a_token_that_others_can_read_is_noted(hnscc):
    token = Path.home() / ".ray/auth_token"
    assert "no token on this machine yet" in hnscc("doctor", "--cluster", "cluster.yaml")[1]
    token.parent.mkdir()
    token.write_text("0" * 32)
    token.chmod(0o644)
    code, out, _ = hnscc("doctor", "--cluster", "cluster.yaml")
    assert code == 0
    assert "others on this machine can read the token" in out
    token.chmod(0o600)
    assert "token" not in hnscc("doctor", "--cluster", "cluster.yaml")[1]


def test_a_mount_that_is_not_here_is_noted(hnscc, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, _ = hnscc("doctor", "--cluster", ROOT / "cluster.yaml")
    assert code == 0
    assert (
        f"{ROOT}/cluster.yaml:{line_of(AWS, 'constraints.txt: ')}: note: what this mount copies is not here"
        in out
    )


def test_the_set_up_commands_of_the_aws_file_close_the_token_and_set_the_environment():
    home = Path.home()
    (home / ".ray").mkdir()
    (home / ".ray/auth_token").write_text("0" * 32)
    (home / "hnscc").mkdir()
    commands = [
        each
        for each in yaml.safe_load(AWS)["setup_commands"]
        if "venv/bin/p" not in each and "apt-get" not in each
    ]
    assert len(commands) == 3
    for command in commands * 2:  # `ray up` again
        subprocess.run(["bash", "-ec", command], check=True)
    assert (home / ".ray/auth_token").stat().st_mode & 0o777 == 0o600
    assert (home / ".ray").stat().st_mode & 0o777 == 0o700
    asked = 'source ~/.bashrc; echo "$RAY_AUTH_MODE $RAY_USAGE_STATS_ENABLED $AWS_REGION ${PATH%%:*}"'
    said = subprocess.run(["bash", "-ec", asked], check=True, capture_output=True, text=True).stdout
    region = yaml.safe_load(AWS)["provider"]["region"]
    assert said.split() == ["token", "0", region, f"{home}/hnscc/venv/bin"]
    assert (home / ".bashrc").read_text().count("environment.sh") == 1


# deploy/rayjob.yaml


def keys(required: str = "", **properties) -> dict:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def rayjob_schema() -> dict:
    """The fields that the manifest uses, of KubeRay's RayJob (ray.io/v1, KubeRay 1.5.1 to 1.7.1) and Kubernetes' pod
    template, with their types; any other field is an error. Fields of these that the manifest has no use for are
    left out on purpose: to use one, add it here after looking it up."""
    text, number, flag = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
    texts = {"type": "object", "additionalProperties": text}
    quantity = {
        "type": "object",
        "additionalProperties": {"type": "string", "pattern": r"^[0-9]+(m|Mi|Gi)?$"},
    }
    resources = keys("requests limits", requests=quantity, limits=quantity)
    environment = {"type": "array", "items": keys("name value", name=text, value=text)}
    container_security = keys(
        allowPrivilegeEscalation=flag, capabilities=keys(drop={"type": "array", "items": text})
    )
    container = keys(
        "name image resources",
        name=text,
        image=text,
        env=environment,
        resources=resources,
        securityContext=container_security,
        volumeMounts={"type": "array", "items": keys("name mountPath", name=text, mountPath=text)},
    )
    pod_security = keys(
        runAsNonRoot=flag,
        runAsUser=number,
        runAsGroup=number,
        fsGroup=number,
        fsGroupChangePolicy={"enum": ["OnRootMismatch", "Always"]},
        seccompProfile=keys("type", type={"enum": ["RuntimeDefault", "Localhost", "Unconfined"]}),
    )
    claim = keys("claimName", claimName=text)
    pod = keys(
        "containers",
        restartPolicy={"enum": ["Never", "OnFailure"]},
        automountServiceAccountToken=flag,
        securityContext=pod_security,
        containers={"type": "array", "items": container},
        volumes={"type": "array", "items": keys("name", name=text, persistentVolumeClaim=claim)},
    )
    template = keys("spec", metadata=keys(labels=texts), spec=pod)
    head = keys(
        "rayStartParams template",
        serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
        enableIngress=flag,
        rayStartParams=texts,
        template=template,
    )
    worker = keys(
        "groupName minReplicas maxReplicas rayStartParams template",
        groupName=text,
        replicas=number,
        minReplicas=number,
        maxReplicas=number,
        rayStartParams=texts,
        template=template,
    )
    cluster = keys(
        "headGroupSpec",
        rayVersion=text,
        authOptions=keys("mode", mode={"enum": ["token", "disabled"]}),
        enableInTreeAutoscaling=flag,
        autoscalerOptions=keys(
            idleTimeoutSeconds=number,
            securityContext=container_security,
            env=environment,
            resources=resources,
        ),
        headGroupSpec=head,
        workerGroupSpecs={"type": "array", "items": worker},
    )
    spec = keys(
        "entrypoint rayClusterSpec",
        entrypoint=text,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        backoffLimit=number,
        shutdownAfterJobFinishes=flag,
        ttlSecondsAfterFinished=number,
        submitterPodTemplate=template,
        rayClusterSpec=cluster,
    )
    return keys(
        "apiVersion kind metadata spec",
        apiVersion={"const": "ray.io/v1"},
        kind={"const": "RayJob"},
        metadata=keys("name", name=text),
        spec=spec,
    )


@pytest.fixture
def rayjob():
    return documents()[0]


def documents() -> list[dict]:
    return list(yaml.safe_load_all((ROOT / "deploy/rayjob.yaml").read_text()))


def test_the_kuberay_manifest_fits_its_schema(rayjob):
    jsonschema.Draft7Validator(rayjob_schema()).validate(rayjob)
    rayjob["spec"]["rayClusterSpec"]["authOption"] = rayjob["spec"]["rayClusterSpec"].pop("authOptions")
    with pytest.raises(jsonschema.ValidationError, match="authOption"):
        jsonschema.Draft7Validator(rayjob_schema()).validate(rayjob)


def test_the_kuberay_manifest_is_closed_and_bounded(rayjob):
    spec = rayjob["spec"]
    cluster = spec["rayClusterSpec"]
    head, (worker,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert spec["entrypoint"].startswith("python -m rayjobs.study /shared/")
    assert "--out /shared/runs/" in spec["entrypoint"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert f"ray=={cluster['rayVersion']}\n" in (ROOT / "constraints.txt").read_text()
    assert (head["serviceType"], head["enableIngress"]) == ("ClusterIP", False)
    assert (head["rayStartParams"]["num-cpus"], head["rayStartParams"]["num-gpus"]) == ("0", "0")
    pods = [each["template"]["spec"] for each in (head, worker)]
    for pod in (*pods, spec["submitterPodTemplate"]["spec"]):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
        assert not container["image"].endswith(":latest")
    for pod in pods:
        assert pod["containers"][0]["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "hnscc-shared"
    assert worker["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert worker["minReplicas"] == 0
    assert spec["backoffLimit"] == 0


def test_the_network_policy_lets_the_studys_own_pods_and_the_operator_in(rayjob):
    policy = documents()[1]["spec"]
    chosen = policy["podSelector"]["matchLabels"]
    cluster = rayjob["spec"]["rayClusterSpec"]
    templates = [each["template"] for each in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    for template in (*templates, rayjob["spec"]["submitterPodTemplate"]):
        assert template["metadata"]["labels"] == chosen
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    assert rule["from"][0] == {"podSelector": {"matchLabels": chosen}}
    assert [list(each) for each in rule["from"]] == [["podSelector"], ["namespaceSelector"]]


def test_metrics_are_off_wherever_ray_runs(rayjob):
    cluster = rayjob["spec"]["rayClusterSpec"]
    for each in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        environment = {e["name"]: e["value"] for e in each["template"]["spec"]["containers"][0]["env"]}
        assert environment["RAY_enable_metrics_collection"] == "0"
        assert environment["AUTOSCALER_METRIC_PORT"] == environment["DASHBOARD_METRIC_PORT"] == "-1"


# Patient files


def dicom(path: Path) -> None:
    """A DICOM file's preamble, mark and one element: (0010,0010) patient's name, by hand."""
    name = b"Smith^John"
    element = b"\x10\x00\x10\x00PN" + len(name).to_bytes(2, "little") + name
    path.write_bytes(bytes(128) + b"DICM" + element)


def scans(folder: Path) -> dict[str, int]:
    """One of each kind of patient file, some without their usual name; what they count to."""
    folder.mkdir(parents=True)
    volume = np.zeros((4, 4, 4), np.int16)
    nib.save(nib.Nifti1Image(volume, np.eye(4)), folder / "smith.nii.gz")
    nib.save(nib.Nifti1Image(volume, np.eye(4)), folder / "smith.nii")
    shutil.copy(folder / "smith.nii", folder / "no_ending")
    (folder / "SMITH2.NII").write_bytes(b"shouted")
    nib.save(nib.AnalyzeImage(volume, np.eye(4)), folder / "pair.img")  # and pair.hdr
    dicom(folder / "IM0001")
    dicom(folder / "b.dcm")
    (folder / "c.nrrd").write_bytes(b"NRRD0005\n")
    (folder / "d.mha").write_text("ObjectType = Image\n")
    (folder / "manifest.csv").write_text("\ufeffpatient_id,scan_id,mask\np1,p1_a,\n")
    (folder / "german.csv").write_text('Scan;"patient_id"\n1;2\n')
    (folder / "scores.csv").write_text("patients,dice\n3,0.5\n")
    make_store(folder, patients=2)
    return {
        "Analyze file": 2,
        "DICOM file": 2,
        "MetaImage file": 1,
        "NIfTI file": 4,
        "NRRD file": 1,
        "Zarr store": 1,
        "manifest": 2,
    }


def test_patient_files_are_found_by_kind(tmp_path):
    expected = scans(tmp_path / "deep/er")
    assert patient_files(tmp_path) == expected
    (tmp_path / "link").symlink_to(tmp_path / "deep")  # found once
    (tmp_path / "deep/loop").symlink_to(tmp_path)
    assert patient_files(tmp_path) == expected
    assert patient_files(ROOT / "hnscc") == patient_files(ROOT / "rayjobs") == {}
    assert patient_files(ROOT / "studies") == {}


IGNORED = [
    line.removeprefix("*") for line in (ROOT / ".rayignore").read_text().splitlines() if line.startswith("*.")
]


@pytest.mark.parametrize("ending", [each for each in IGNORED if each not in (".csv", ".CSV", ".zarr")])
def test_what_is_not_uploaded_for_its_name_is_known_as_a_patient_file(ending, tmp_path):
    (tmp_path / f"smith{ending}").write_bytes(b"anything")
    assert sum(patient_files(tmp_path).values()) == 1


def test_a_store_by_another_name_is_a_store(tmp_path):
    store = Path(make_store(tmp_path, patients=2).location)
    store.rename(tmp_path / "plain")
    assert patient_files(tmp_path) == {"Zarr store": 1}


def test_patient_files_are_refused_without_their_names(tmp_path):
    refuse_patient_files(tmp_path)
    scans(tmp_path / "scans_of_smith")
    with pytest.raises(InputError) as refused:
        refuse_patient_files(tmp_path)
    text = str(refused.value)
    assert "2 DICOM files" in text
    assert "1 Zarr store" in text
    assert "smith" not in text.lower()
    assert str(tmp_path) not in text


def test_what_cannot_be_read_is_not_taken_for_harmless(tmp_path):
    (tmp_path / "smith").symlink_to("/proc/self/mem")  # a file whose start even root cannot read
    with pytest.raises(InputError, match="cannot be read") as refused:
        patient_files(tmp_path)
    assert "smith" not in str(refused.value)


# What Ray uploads


@pytest.fixture
def project(tmp_path):
    """The project's code in a folder of its own, with its .rayignore."""
    root = tmp_path / "project"
    root.mkdir()
    for name in ("hnscc", "rayjobs", "data_prep", "studies"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        ".rayignore",
        ".gitignore",
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "cluster.yaml",
    ):
        shutil.copy(ROOT / name, root)
    (root / "mine.yaml").write_text("name: mine\n")
    return root


def names(paths, root) -> set[str]:
    return {str(path.relative_to(root)) for path in paths if path.is_file()}


CODE = ("hnscc", "rayjobs", "data_prep", "studies")


def test_ray_uploads_code_and_study_files_alone(project):
    expected = {
        str(path.relative_to(project))
        for top in CODE
        for path in (project / top).rglob("*")
        if path.is_file()
    }
    expected |= {"pyproject.toml", "constraints.txt", "mine.yaml"}
    for place in ("data/sts", "runs/demo", ".venv/lib", "patients", "scans/p1"):
        scans(project / place)
    dicom(project / "IM0001")
    for top in (*CODE, "."):
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)), project / top / "smith.nii.gz")
        make_store(project / top, patients=2)
        (project / top / "manifest.csv").write_text("patient_id,scan_id,mask,pet\n")
        np.savez(project / top / "smith.npz", np.zeros(3))
    assert names(uploaded(project), project) == expected
    archive = project.parent / "package.zip"
    excludes = ray_constants.get_runtime_env_default_excludes()
    packaging.create_package(
        str(project), archive, include_gitignore=True, excludes=excludes, logger=logging.getLogger("test")
    )
    with zipfile.ZipFile(archive) as package:
        assert {name for name in package.namelist() if not name.endswith("/")} == expected


def test_a_clean_folder_may_be_submitted_and_one_with_scans_not(hnscc, project):
    code, out, _ = hnscc("doctor", "--working-dir", project)
    files = names(uploaded(project), project)
    mib = sum((project / name).stat().st_size for name in files) / 2**20
    assert code == 0
    told = re.search(r"(\d+) files, ([\d.]+) MiB", out)
    assert (int(told[1]), float(told[2])) == (len(files), pytest.approx(mib, abs=0.0051))
    dicom(project / "studies/IM0001")  # has no ending that .rayignore could name
    code, out, _ = hnscc("doctor", "--working-dir", project, "--json")
    told = json.loads(out)["working_dir"]
    assert (code, told["patient_files"]) == (2, {"DICOM file": 1})
    assert told["files"] == len(files) + 1
    code, out, _ = hnscc("doctor", "--working-dir", project)
    assert "1 DICOM file would leave this machine" in out
    assert "IM0001" not in out


def test_a_folder_without_rayignore_is_looked_through(hnscc, tmp_path):
    counts = scans(tmp_path / "mine/data")
    (tmp_path / "mine/study.yaml").write_text("name: mine\n")
    assert check_working_dir(tmp_path / "mine").patient_files == counts
    code, _, error = hnscc("doctor", "--working-dir", tmp_path / "absent")
    assert code == 2
    assert "--working-dir" in error


def test_what_is_too_much_for_ray_is_told_before(hnscc, tmp_path):
    with (tmp_path / "weights").open("wb") as file:
        file.truncate(packaging.GCS_STORAGE_MAX_SIZE)
    code, out, _ = hnscc("doctor", "--working-dir", tmp_path)
    assert code == 2
    assert "512.0 MiB are more than Ray takes" in out
