"""The fields of a `ray up` file that Ray's own schema leaves open: what a provider takes, what a machine on AWS takes.

As JSON Schemas. The provider's settings are those that Ray 2.60 reads; the machine's are the parameters of EC2's
RunInstances, with Ray's SubnetIds and without what Ray sets itself.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
NAME: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]*$",
    "description": "letters, digits, '.', '_' and '-'",
}
ADDRESS: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z0-9.:-]+$",
    "description": "an address or a host's name",
}
SWITCH: Schema = {"type": "boolean"}
ANY_LIST: Schema = {"type": "array"}
ANY_KEYS: Schema = {"type": "object"}


def _one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def _list_of(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _keys(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _id(prefix: str) -> Schema:
    """An AWS id such as sg-0123456789abcdef0, or a place that is still to be filled in."""
    return {
        "type": "string",
        "pattern": f"^{prefix}-([0-9a-f]{{8}}|[0-9a-f]{{17}})$|FILL-IN",
        "description": f"an id such as {prefix}-0123456789abcdef0",
    }


# Read by Ray's launcher and autoscaler whatever the provider.
_EVERY_PROVIDER = {
    "type": TEXT,
    "use_internal_ips": SWITCH,
    "use_external_head_ip": SWITCH,
    "disable_node_updaters": SWITCH,
    "disable_launch_config_check": SWITCH,
    "foreground_node_launch": SWITCH,
    "worker_liveness_check": SWITCH,
}

_RULE = _keys(
    IpProtocol={"type": ["string", "integer"]},
    FromPort=WHOLE,
    ToPort=WHOLE,
    IpRanges=_list_of(_keys(CidrIp=TEXT, Description=TEXT)),
    Ipv6Ranges=_list_of(_keys(CidrIpv6=TEXT, Description=TEXT)),
    UserIdGroupPairs=_list_of(ANY_KEYS),
    PrefixListIds=_list_of(ANY_KEYS),
)

PROVIDERS: dict[str, Schema] = {
    "aws": _keys(
        ("region",),
        **_EVERY_PROVIDER,
        region={
            "type": "string",
            "pattern": "^[a-z]{2}(-[a-z]+)+-[0-9]$|FILL-IN",
            "description": "a region such as eu-north-1",
        },
        availability_zone=TEXT,
        cache_stopped_nodes=SWITCH,
        key_pair=_keys(("key_name",), key_name=TEXT),
        security_group=_keys(GroupName=TEXT, IpPermissions=_list_of(_RULE)),
        cloudwatch=ANY_KEYS,
        aws_credentials=ANY_KEYS,
    ),
    "local": _keys(
        **_EVERY_PROVIDER,
        head_ip=ADDRESS,
        worker_ips=_list_of(ADDRESS),
        external_head_ip=ADDRESS,
        coordinator_address=ADDRESS,
    ),
}

_DISK = _keys(
    ("DeviceName",),
    DeviceName=TEXT,
    VirtualName=TEXT,
    NoDevice=TEXT,
    Ebs=_keys(
        VolumeSize=POSITIVE,
        VolumeType=_one_of("standard", "io1", "io2", "gp2", "gp3", "sc1", "st1"),
        Encrypted=SWITCH,
        DeleteOnTermination=SWITCH,
        Iops=WHOLE,
        Throughput=WHOLE,
        KmsKeyId=TEXT,
        SnapshotId=TEXT,
        OutpostArn=TEXT,
        AvailabilityZone=TEXT,
        AvailabilityZoneId=TEXT,
        VolumeInitializationRate=WHOLE,
        EbsCardIndex=WHOLE,
    ),
)

_METADATA = _keys(
    HttpTokens=_one_of("required", "optional"),
    HttpEndpoint=_one_of("enabled", "disabled"),
    HttpPutResponseHopLimit=POSITIVE,
    HttpProtocolIpv6=_one_of("enabled", "disabled"),
    InstanceMetadataTags=_one_of("enabled", "disabled"),
)

_MARKET = _keys(
    MarketType=_one_of("spot", "capacity-block", "interruptible-capacity-reservation", "on-demand"),
    SpotOptions=_keys(
        MaxPrice=TEXT,
        SpotInstanceType=_one_of("one-time", "persistent"),
        BlockDurationMinutes=WHOLE,
        ValidUntil={},
        InstanceInterruptionBehavior=_one_of("terminate", "stop", "hibernate"),
    ),
)

AWS_MACHINE: Schema = _keys(
    ("InstanceType",),
    InstanceType={
        "type": "string",
        "pattern": r"^[a-z0-9-]+\.[a-z0-9-]+$",
        "description": "a type such as g6.xlarge",
    },
    ImageId={"type": "string", "description": "an id such as ami-0123456789abcdef0"},
    KeyName=TEXT,
    SubnetId=_id("subnet"),
    SubnetIds=_list_of(_id("subnet")),
    SecurityGroupIds=_list_of(_id("sg")),
    SecurityGroups=_list_of(TEXT),
    IamInstanceProfile=_keys(Arn=TEXT, Name=TEXT),
    InstanceMarketOptions=_MARKET,
    MetadataOptions=_METADATA,
    BlockDeviceMappings=_list_of(_DISK),
    NetworkInterfaces=_list_of(ANY_KEYS),
    TagSpecifications=_list_of(
        _keys(
            ("ResourceType", "Tags"),
            ResourceType=TEXT,
            Tags=_list_of(_keys(("Key", "Value"), Key=TEXT, Value=TEXT)),
        )
    ),
    Placement=_keys(
        AvailabilityZone=TEXT,
        AvailabilityZoneId=TEXT,
        Affinity=TEXT,
        GroupName=TEXT,
        GroupId=TEXT,
        PartitionNumber=WHOLE,
        HostId=TEXT,
        HostResourceGroupArn=TEXT,
        Tenancy=_one_of("default", "dedicated", "host"),
        SpreadDomain=TEXT,
    ),
    LaunchTemplate=ANY_KEYS,
    EbsOptimized=SWITCH,
    UserData=TEXT,
    Monitoring=ANY_KEYS,
    CpuOptions=ANY_KEYS,
    CreditSpecification=ANY_KEYS,
    CapacityReservationSpecification=ANY_KEYS,
    HibernationOptions=ANY_KEYS,
    LicenseSpecifications=ANY_LIST,
    EnclaveOptions=ANY_KEYS,
    PrivateDnsNameOptions=ANY_KEYS,
    MaintenanceOptions=ANY_KEYS,
    NetworkPerformanceOptions=ANY_KEYS,
    InstanceInitiatedShutdownBehavior=_one_of("stop", "terminate"),
    DisableApiStop=SWITCH,
    DisableApiTermination=SWITCH,
    EnablePrimaryIpv6=SWITCH,
    Ipv6AddressCount=WHOLE,
    Ipv6Addresses=ANY_LIST,
    PrivateIpAddress=TEXT,
    KernelId=TEXT,
    RamdiskId=TEXT,
    AdditionalInfo=TEXT,
)


def open_fields(provider: str) -> Schema:
    """What Ray's schema does not look at in a file for this provider: it is to be checked besides Ray's."""
    machine = AWS_MACHINE if provider == "aws" else {}
    kind = {"properties": {"node_config": machine, "min_workers": COUNT, "max_workers": COUNT}}
    return {
        "properties": {
            "cluster_name": NAME,
            "provider": PROVIDERS.get(provider, {}),
            "auth": {"properties": {"ssh_user": NAME}},
            "file_mounts": {"additionalProperties": TEXT},
            "cluster_synced_files": {"items": TEXT},
            "rsync_exclude": {"items": TEXT},
            "rsync_filter": {"items": TEXT},
            "available_node_types": {"additionalProperties": kind},
        }
    }
