"""Each safeguard that AWS needs besides, taken away from cluster.yaml, is named with its line."""

import pytest
from cluster_files import AWS, assert_named

pytestmark = pytest.mark.usefixtures("stand_in_project")

# (what is taken away from cluster.yaml, what stands there instead, a mark of the line to be named, the finding)
TAKEN_AWAY = {
    "no boto3": (
        AWS[AWS.index("head_setup_commands:") : AWS.index("head_start_ray_commands:")],
        "head_setup_commands: []\n",
        "head_setup_commands",
        "cannot start workers",
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
NTH = {"spot": 2}
TWICE = {"key pair"}


@pytest.mark.quick(9)
@pytest.mark.parametrize("name", TAKEN_AWAY)
def test_each_missing_safeguard_is_named_with_its_line(name, tmp_path):
    assert_named(TAKEN_AWAY[name], tmp_path, nth=NTH.get(name, 1), findings=1 + (name in TWICE))
