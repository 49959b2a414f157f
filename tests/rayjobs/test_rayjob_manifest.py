"""deploy/rayjob.yaml fits KubeRay's schema, and is closed and bounded."""

from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]


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
