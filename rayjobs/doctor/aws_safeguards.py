"""What a `ray up` file for AWS must say besides: disks, networks and credentials closed, spot workers, a quiet head."""

import re
from collections.abc import Iterator
from typing import Any

from rayjobs.doctor.marked_yaml import KeyPath, Problem
from rayjobs.doctor.safeguards import ClusterFile, all_commands, items, keys


def aws_problems(file: ClusterFile) -> Iterator[Problem]:
    """Every safeguard of an AWS file that it lacks."""
    yield from _provider_problems(file)
    yield from _size_problems(file)
    for name, kind in file.machines.items():
        yield from _machine_problems(file, name, keys(kind.get("node_config")))
        if name == file.head:
            yield from _head_problems(file, name, kind)
        elif file.head in file.machines and _market(kind) != "spot":
            yield file.problem(
                ("available_node_types", name, "node_config", "InstanceMarketOptions", "MarketType"),
                f"{name} are not spot instances: trials survive the loss of one, so they may be",
                "InstanceMarketOptions: {MarketType: spot}",
                "add it to node_config",
            )


def _market(kind: dict[str, Any]) -> Any:
    return keys(keys(kind.get("node_config")).get("InstanceMarketOptions")).get("MarketType")


def _provider_problems(file: ClusterFile) -> Iterator[Problem]:
    provider = keys(file.settings.get("provider"))
    if provider.get("aws_credentials"):
        yield file.problem(
            ("provider", "aws_credentials"),
            "keys stand in the file, and Ray copies the file to the head",
            "no keys: `aws configure` here, IamInstanceProfile on the machines",
            "delete aws_credentials, and the keys at AWS",
        )
    rules = items(keys(provider.get("security_group")).get("IpPermissions"))
    for position, rule in enumerate(rules):
        ranges = [*items(keys(rule).get("IpRanges")), *items(keys(rule).get("Ipv6Ranges"))]
        if any({"0.0.0.0/0", "::/0"} & set(map(str, keys(each).values())) for each in ranges):
            yield file.problem(
                ("provider", "security_group", "IpPermissions", position),
                "this rule lets in the whole Internet",
                "your own address, such as 192.0.2.7/32",
                "delete the rule, or narrow it",
            )


def _size_problems(file: ClusterFile) -> Iterator[Problem]:
    own = keys(file.marked.data)
    if "max_workers" not in own:
        yield Problem(
            file.marked.line(()),
            "max_workers is missing",
            "a limit to the number of machines",
            "add `max_workers: 4`",
        )
    workers = [
        kind for name, kind in file.machines.items() if name != file.head and kind.get("max_workers") != 0
    ]
    if own.get("max_workers") == 0 or not workers:
        place = "max_workers" if own.get("max_workers") == 0 else "available_node_types"
        yield file.problem(
            (place,),
            "no worker can ever start",
            "a kind of worker, and max_workers of 1 or more",
            "allow for workers",
        )


def _head_problems(file: ClusterFile, name: str, kind: dict[str, Any]) -> Iterator[Problem]:
    place = ("available_node_types", name)
    for resource in ("CPU", "GPU"):
        if keys(kind.get("resources")).get(resource) != 0:
            yield file.problem(
                (*place, "resources", resource),
                f"the head offers {resource}s to trials, and one that runs out of memory there ends the cluster",
                "resources: {CPU: 0, GPU: 0} for the head",
                f"set {resource}: 0",
            )
    if not keys(file.settings.get("docker")) and not any("boto3" in text for _, text in all_commands(file)):
        yield file.problem(
            ("head_setup_commands",),
            "nothing installs boto3 on the head, so it cannot start workers",
            "boto3 with a fixed version",
            "install it in head_setup_commands",
        )
    machine = keys(kind.get("node_config"))
    if _market(kind) == "spot":
        yield file.problem(
            (*place, "node_config", "InstanceMarketOptions"),
            "the head is a spot instance: the cluster goes when AWS takes it away",
            "an on-demand head",
            "delete InstanceMarketOptions of the head",
        )
    if not machine.get("IamInstanceProfile"):
        yield file.problem(
            (*place, "node_config", "IamInstanceProfile"),
            "the head has no role of its own, so Ray gives it every right on EC2 and on all buckets",
            "IamInstanceProfile: {Name: ...} with the rights that it needs",
            "make one, and name it in node_config",
        )


def _machine_problems(file: ClusterFile, name: str, machine: dict[str, Any]) -> Iterator[Problem]:
    place = ("available_node_types", name, "node_config")
    metadata = keys(machine.get("MetadataOptions"))
    if metadata.get("HttpTokens") in (None, "optional") and metadata.get("HttpEndpoint") != "disabled":
        yield file.problem(
            (*place, "MetadataOptions", "HttpTokens"),
            f"{name}: the machine's credentials can be fetched by IMDSv1",
            "MetadataOptions: {HttpTokens: required} (IMDSv2)",
            "add it to node_config",
        )
    yield from _disk_problems(file, name, (*place, "BlockDeviceMappings"), machine)
    groups = [*items(machine.get("SecurityGroupIds"))]
    groups += [
        group for each in items(machine.get("NetworkInterfaces")) for group in items(keys(each).get("Groups"))
    ]
    if not groups:
        yield file.problem(
            (*place, "SecurityGroupIds"),
            f"{name}: without a security group of yours, Ray makes one that lets in SSH from 0.0.0.0/0",
            "SecurityGroupIds: [sg-...] that lets in SSH from your address and everything from itself",
            "make one, and name it in node_config",
        )
    if not re.search(r"^ami-|FILL-IN", str(machine.get("ImageId"))):
        yield file.problem(
            (*place, "ImageId"),
            f"{name}: no fixed machine image; Ray's default one is Ubuntu 18.04",
            "ImageId: ami-... of your region",
            "name one that has an NVIDIA driver",
        )
    if (
        keys(file.settings.get("auth")).get("ssh_private_key")
        and not {"KeyName", "UserData"} & machine.keys()
    ):
        yield file.problem(
            (*place, "KeyName"),
            f"{name}: auth.ssh_private_key is set, but not whose key AWS puts on the machine",
            "KeyName: the name of that key at AWS",
            "add it to node_config, or delete ssh_private_key",
        )


def _disk_problems(
    file: ClusterFile, name: str, place: KeyPath, machine: dict[str, Any]
) -> Iterator[Problem]:
    disks = items(machine.get("BlockDeviceMappings"))
    for position, disk in enumerate(disks):
        ebs = keys(disk).get("Ebs")
        if isinstance(ebs, dict) and ebs.get("Encrypted", False) is False:
            yield file.problem(
                (*place, position, "Ebs", "Encrypted"),
                f"{name}: this disk is not encrypted",
                "Encrypted: true under Ebs",
                "add it",
            )
    if not any(isinstance(keys(disk).get("Ebs"), dict) for disk in disks):
        yield file.problem(
            place,
            f"{name}: nothing says that the disk is encrypted",
            "BlockDeviceMappings with DeviceName: /dev/sda1 and Ebs: {Encrypted: true, ...}",
            "add it to node_config",
        )
