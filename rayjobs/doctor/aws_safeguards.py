"""The further safeguards of a `ray up` file for AWS: closed disks, networks and credentials, spot workers, a
quiet head."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from rayjobs.doctor.cluster_file import ClusterFile, at, items, keys
from rayjobs.doctor.marked_yaml import FieldPath, Problem


def aws_problems(file: ClusterFile) -> Iterator[Problem]:
    """Yield a Problem for every safeguard that an AWS file lacks."""
    yield from _provider_problems(file)
    yield from _size_problems(file)
    for name, kind in file.machines.items():
        checks = _EVERY_MACHINE
        if file.head in file.machines:
            checks += _HEAD if name == file.head else _WORKER
        for lacks, path, problem, expected, do in checks:
            if lacks(kind):
                yield file.problem(("available_node_types", name, *path), f"{name}: {problem}", expected, do)
        yield from _disk_problems(file, name)
        yield from _key_problems(file, name)
    docker = keys(file.settings.get("docker"))
    if not docker and not any("boto3" in text for _, text in file.commands()):
        yield file.problem(
            ("head_setup_commands",),
            "nothing installs boto3 on the head, so it cannot start workers",
            "boto3 with a fixed version",
            "install it in head_setup_commands",
        )


def _imdsv1(kind: dict[str, Any]) -> bool:
    options = at(kind, "node_config", "MetadataOptions")
    return at(options, "HttpTokens") in (None, "optional") and at(options, "HttpEndpoint") != "disabled"


def _no_group(kind: dict[str, Any]) -> bool:
    interfaces = items(at(kind, "node_config", "NetworkInterfaces"))
    own = items(at(kind, "node_config", "SecurityGroupIds"))
    return not own and not any(items(at(each, "Groups")) for each in interfaces)


def _no_image(kind: dict[str, Any]) -> bool:
    return not re.search(r"^ami-|FILL-IN", str(at(kind, "node_config", "ImageId")))


def _no_encrypted_disk(kind: dict[str, Any]) -> bool:
    disks = items(at(kind, "node_config", "BlockDeviceMappings"))
    return not any(isinstance(at(disk, "Ebs"), dict) for disk in disks)


def _is_spot(kind: dict[str, Any]) -> bool:
    return bool(at(kind, "node_config", "InstanceMarketOptions", "MarketType") == "spot")


# (whether a kind of machine lacks it, where under its name, what is wrong, what is expected, what to do)
_Check = tuple[Callable[[dict[str, Any]], bool], FieldPath, str, str, str]
# fmt: off
_EVERY_MACHINE: tuple[_Check, ...] = (
    (_imdsv1, ("node_config", "MetadataOptions", "HttpTokens"),
     "the machine's credentials can be fetched by IMDSv1",
     "MetadataOptions: {HttpTokens: required} (IMDSv2)", "add it to node_config"),
    (_no_group, ("node_config", "SecurityGroupIds"),
     "without a security group of yours, Ray makes one that lets in SSH from 0.0.0.0/0",
     "SecurityGroupIds: [sg-...] that lets in SSH from your address and everything from itself",
     "make one, and name it in node_config"),
    (_no_image, ("node_config", "ImageId"), "no fixed machine image; Ray's default one is Ubuntu 18.04",
     "ImageId: ami-... of your region", "name one that has an NVIDIA driver"),
    (_no_encrypted_disk, ("node_config", "BlockDeviceMappings"), "nothing says that the disk is encrypted",
     "BlockDeviceMappings with DeviceName: /dev/sda1 and Ebs: {Encrypted: true, ...}", "add it to node_config"),
)
_HEAD: tuple[_Check, ...] = (
    (lambda kind: at(kind, "resources", "CPU") != 0, ("resources", "CPU"),
     "it offers CPUs to trials, and one that runs out of memory there ends the cluster",
     "resources: {CPU: 0, GPU: 0} for the head", "set CPU: 0"),
    (lambda kind: at(kind, "resources", "GPU") != 0, ("resources", "GPU"),
     "it offers GPUs to trials, and one that runs out of memory there ends the cluster",
     "resources: {CPU: 0, GPU: 0} for the head", "set GPU: 0"),
    (_is_spot, ("node_config", "InstanceMarketOptions"),
     "the head is a spot instance: the cluster goes when AWS takes it away",
     "an on-demand head", "delete InstanceMarketOptions of the head"),
    (lambda kind: not at(kind, "node_config", "IamInstanceProfile"), ("node_config", "IamInstanceProfile"),
     "it has no role of its own, so Ray gives it every right on EC2 and on all buckets",
     "IamInstanceProfile: {Name: ...} with the rights that it needs", "make one, and name it in node_config"),
)
_WORKER: tuple[_Check, ...] = (
    (lambda kind: not _is_spot(kind), ("node_config", "InstanceMarketOptions", "MarketType"),
     "not spot instances: trials survive the loss of one, so they may be",
     "InstanceMarketOptions: {MarketType: spot}", "add it to node_config"),
)
# fmt: on


def _disk_problems(file: ClusterFile, name: str) -> Iterator[Problem]:
    key_path = ("available_node_types", name, "node_config", "BlockDeviceMappings")
    for position, disk in enumerate(items(at(file.settings, *key_path))):
        ebs = at(disk, "Ebs")
        if isinstance(ebs, dict) and ebs.get("Encrypted", False) is False:
            path = (*key_path, position, "Ebs", "Encrypted")
            yield file.problem(
                path, f"{name}: this disk is not encrypted", "Encrypted: true under Ebs", "add it"
            )


def _key_problems(file: ClusterFile, name: str) -> Iterator[Problem]:
    machine = keys(at(file.machines, name, "node_config"))
    if at(file.settings, "auth", "ssh_private_key") and not {"KeyName", "UserData"} & machine.keys():
        yield file.problem(
            ("available_node_types", name, "node_config", "KeyName"),
            f"{name}: auth.ssh_private_key is set, but not whose key AWS puts on the machine",
            "KeyName: the name of that key at AWS",
            "add it to node_config, or delete ssh_private_key",
        )


def _provider_problems(file: ClusterFile) -> Iterator[Problem]:
    provider = keys(file.settings.get("provider"))
    if provider.get("aws_credentials"):
        yield file.problem(
            ("provider", "aws_credentials"),
            "keys stand in the file, and Ray copies the file to the head",
            "no keys: `aws configure` here, IamInstanceProfile on the machines",
            "delete aws_credentials, and the keys at AWS",
        )
    for position, rule in enumerate(items(at(provider, "security_group", "IpPermissions"))):
        ranges = [*items(at(rule, "IpRanges")), *items(at(rule, "Ipv6Ranges"))]
        if any({"0.0.0.0/0", "::/0"} & set(map(str, keys(each).values())) for each in ranges):
            yield file.problem(
                ("provider", "security_group", "IpPermissions", position),
                "this rule lets in the whole Internet",
                "your own address, such as 192.0.2.7/32",
                "delete the rule, or narrow it",
            )


def _size_problems(file: ClusterFile) -> Iterator[Problem]:
    own = file.marked.data
    if "max_workers" not in own:
        expected = "a limit to the number of machines"
        yield Problem(file.marked.line(()), "max_workers is missing", expected, "add `max_workers: 4`")
    workers = [kind for name, kind in file.machines.items() if name != file.head]
    if own.get("max_workers") == 0 or not any(kind.get("max_workers") != 0 for kind in workers):
        key_path = "max_workers" if own.get("max_workers") == 0 else "available_node_types"
        expected = "a kind of worker, and max_workers of 1 or more"
        yield file.problem((key_path,), "no worker can ever start", expected, "allow for workers")
