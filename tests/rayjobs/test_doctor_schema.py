"""Each field of a `ray up` file that is unknown, missing or mistyped is named with its line; so is what is no YAML."""

import copy
from itertools import pairwise

import pytest
import yaml
from cluster_files import AWS, ONPREM, changed, line_of, problems_of

from rayjobs.doctor import check_cluster
from rayjobs.doctor.marked_yaml import read_marked

# The one in C, where PyYAML has it: ten times as quick.
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

pytestmark = pytest.mark.usefixtures("stand_in_project")

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
    ("auth:", "docker: {image: 'rayproject/ray:2.60.0'}\nauth:", "docker:", "docker is incomplete", "container_name"),
    ("auth:", "docker: {container_name: ray}\nauth:", "docker:", "docker is incomplete", "an image as well"),
    ("hnscc: hnscc\n", "hnscc: 5\n", "hnscc: 5", "hnscc/code/hnscc is 5", "text"),
]  # fmt: skip


@pytest.mark.quick(16)
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


def test_where_machines_of_your_own_are_must_be_said(tmp_path):
    text = changed(ONPREM, "  head_ip: ", "  #")
    assert problems_of(text, tmp_path) == [(line_of(text, "provider:"), "provider is incomplete")]
    text = changed(text, "worker_ips: [", "coordinator_address: 10.77.0.1 # [")
    assert problems_of(text, tmp_path) == [(line_of(text, "cluster_name:"), "the file has no max_workers")]
    text = changed(text, "auth:", "max_workers: 2\nauth:")
    assert problems_of(text, tmp_path) == []
    text = changed(text, "auth:", "head_node_type: head\nauth:")
    assert problems_of(text, tmp_path) == [
        (line_of(text, "head_node_type:"), "head_node_type is not for machines of your own")
    ]


def test_a_missing_region_and_a_key_given_twice(tmp_path):
    text = changed(AWS, "  region: eu-north-1\n", "")
    assert (line_of(text, "provider:"), "provider has no region") in problems_of(text, tmp_path)
    text = changed(AWS, "auth:", "max_workers: 8\nauth:")
    ((line, problem),) = problems_of(text, tmp_path)
    assert line == line_of(text, "max_workers: 8")
    assert problem.startswith("the key max_workers stands here again")
    text = changed(AWS, "Encrypted: true", "Encrypted: true, Encrypted: false")
    assert any("the key Encrypted stands here again" in problem for _, problem in problems_of(text, tmp_path))
    text = changed(AWS, "auth:", "auth: {ssh_user: ubuntu, ssh_private_key: key1, ssh_private_key: key2}\nx:")
    ((line, problem),) = problems_of(text, tmp_path)
    assert line == line_of(text, "key1")
    assert "ssh_private_key" in problem
    assert "key1" not in problem, "a value may be secret"


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


def test_aliases_of_aliases_end_and_do_not_fill_the_memory(tmp_path):
    """Nine lines that stand for 9 to the power of 9 values."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{each}: &{each} [{', '.join([f'*{before}'] * 9)}]" for before, each in pairwise("abcdefghi")]
    ((_, problem),) = problems_of("\n".join(lines), tmp_path)
    assert "more than 100000 values" in problem


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


@pytest.mark.slow
def test_no_wrong_value_anywhere_makes_it_stumble(tmp_path):
    """Each value of both files in turn, replaced by one of another kind."""
    file = tmp_path / "fuzzed.yaml"
    wrong = [None, 5, "x y", ["x"], {"x": None}, [[]], True]
    whole = [yaml.safe_load(AWS), yaml.safe_load(ONPREM)]
    all_paths = [(one, path) for one in whole for path in paths_of(one) if path]
    assert len(all_paths) > 100
    for turn, (one, path) in enumerate(all_paths):
        fuzzed = copy.deepcopy(one)
        position = fuzzed
        for key in path[:-1]:
            position = position[key]
        position[path[-1]] = wrong[turn % len(wrong)]
        file.write_text(yaml.dump(fuzzed, Dumper=DUMPER))
        assert all(each.line >= 1 for each in check_cluster(file).problems)
