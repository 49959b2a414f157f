"""Each safeguard that is taken away from a shipped `ray up` file is named with its line; what a command is read as."""

import subprocess
from pathlib import Path

import pytest
import yaml
from cluster_files import AWS, ONPREM, assert_named, changed, line_of, problems_of

from rayjobs.doctor.shell_commands import ray_starts, unpinned

pytestmark = pytest.mark.usefixtures("stand_in_project")

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
}
# Where the line is not the first that holds the mark.
NTH = {"worker alone": 2}


@pytest.mark.quick(12)
@pytest.mark.parametrize("name", TAKEN_AWAY)
def test_each_missing_safeguard_is_named_with_its_line(name, tmp_path):
    assert_named(TAKEN_AWAY[name], tmp_path, nth=NTH.get(name, 1))


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


def test_ray_defaults_of_what_is_left_out_are_checked_too(tmp_path):
    text = AWS[: AWS.index("head_start_ray_commands:")] + AWS[AWS.index("worker_start_ray_commands:") :]
    found = problems_of(text, tmp_path)
    assert {line for line, _ in found} == {line_of(text, "cluster_name")}
    for what in ("ask for a token", "usage statistics", "the dashboard listens beyond this machine"):
        assert any(what in each and "head_start_ray_commands is missing" in each for _, each in found)


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
    for name in ("roster.csv", "roster.TSV"):
        ((_, problem),) = problems_of(changed(AWS, "hnscc: hnscc\n", f"hnscc: {name}\n"), tmp_path)
        assert problem == "this mount is an imaging file, a store or a table of patients"


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
