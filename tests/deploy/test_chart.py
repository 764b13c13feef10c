"""The Helm chart, the image and compose: what they render is valid, locked down, and says only what the program knows."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gql_server.settings import Settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "chart"
HELM = shutil.which("helm", path=f"{ROOT / 'build'}:/usr/local/bin:/usr/bin") or shutil.which("helm")
SECRET = ("--set", "existingSecret=gql-server")
EVERYTHING = tuple(
    argument
    for value in (
        "worker.autoscaling.enabled=true",
        "api.autoscaling.enabled=true",
        "serviceMonitor.enabled=true",
        "serviceMonitor.labels.release=prometheus",
        "api.ingress.enabled=true",
        "api.ingress.hosts[0]=gql.example.org",
        "settings.GQL_UPLOAD_RETENTION=P90D",
        "imagePullSecrets[0].name=registry",
        "nodeSelector.pool=apps",
        "podAnnotations.team=data",
    )
    for argument in ("--set", value)
)
KNOWN = {f"GQL_{name.upper()}" for name in Settings.model_fields}
needs_helm = pytest.mark.skipif(HELM is None, reason="helm is not installed: python .ci/helm brings it")


def helm(*arguments: str, code: int = 0) -> str:
    ran = subprocess.run([str(HELM), *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def rendered(*values: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(helm("template", "ledger", str(CHART), *SECRET, *values)) if each]


def of_kind(documents: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    [found] = [each for each in documents if each["kind"] == kind and name in each["metadata"]["name"]]
    return found


def pods(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["spec"]["template"]["spec"] for each in documents if each["kind"] in ("Deployment", "Job")]


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for container in pod["containers"] for each in container["env"]}


@needs_helm
@pytest.mark.parametrize("values", [(), EVERYTHING])
def test_the_chart_lints_and_what_it_renders_is_what_kubernetes_takes(values: tuple[str, ...]):
    helm("lint", "--strict", str(CHART), *SECRET, *values)

    checked = [each["kind"] for each in rendered(*values) if _is_taken(each)]

    assert {"Deployment", "Service", "Job", "ServiceAccount", "PodDisruptionBudget"} <= set(checked)


def _is_taken(document: dict[str, Any]) -> bool:
    """False for a kind that is not Kubernetes's own. Raises for one that is not as it should be."""
    if document["apiVersion"].startswith(("monitoring.coreos.com", "keda.sh")):
        return False
    import kubernetes_validate  # takes seconds, and is for this alone

    kubernetes_validate.validate(document, "1.37", strict=True)
    return True


@needs_helm
def test_without_a_secret_nothing_is_rendered():
    assert "existingSecret: name a secret" in helm("template", "ledger", str(CHART), code=1)


@needs_helm
def test_every_container_is_locked_down_and_is_told_only_settings_there_are():
    for pod in pods(rendered(*EVERYTHING)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
        assert set(environment(pod)) - KNOWN == set()


@needs_helm
def test_the_database_is_migrated_before_programs_are_replaced_and_no_api_is_missing_meanwhile():
    documents = rendered()

    job, api = of_kind(documents, "Job"), of_kind(documents, "Deployment", "-api")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate"]
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "default"
    assert api["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert api["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


@needs_helm
def test_only_the_api_has_the_key_of_tokens():
    documents = rendered()

    with_key = [each["metadata"]["name"] for each in documents if "GQL_JWT_SECRET" in yaml.safe_dump(each)]
    assert with_key == ["ledger-gql-server-api"]


@needs_helm
def test_the_secret_of_the_sign_in_is_told_to_the_api_alone_where_there_is_one():
    documents = rendered("--set", "secretKeys.oidcClientSecret=oidc")

    told = [each["metadata"]["name"] for each in documents if "GQL_OIDC_CLIENT_SECRET" in yaml.safe_dump(each)]
    assert told == ["ledger-gql-server-api"]
    assert "GQL_OIDC_CLIENT_SECRET" not in yaml.safe_dump_all(rendered())


@needs_helm
def test_workers_are_scaled_by_a_queue_that_is_measured_and_then_have_no_number_of_their_own():
    documents = rendered(*EVERYTHING)

    query = of_kind(documents, "ScaledObject")["spec"]["triggers"][0]["metadata"]["query"]
    assert set(re.findall(r"gql_\w+", query)) == {"gql_jobs_queued", "gql_jobs_running"}
    assert "replicas" not in of_kind(documents, "Deployment", "-worker")["spec"]
    assert of_kind(rendered(), "Deployment", "-worker")["spec"]["replicas"] == 2


@needs_helm
def test_scrapers_find_the_ports_of_api_and_workers_by_labels_that_these_have():
    documents = rendered(*EVERYTHING)

    worker = of_kind(documents, "Deployment", "-worker")["spec"]["template"]
    selected = of_kind(documents, "PodMonitor")["spec"]["selector"]["matchLabels"]
    assert selected.items() <= worker["metadata"]["labels"].items()
    monitor, service = of_kind(documents, "ServiceMonitor"), of_kind(documents, "Service", "-api-metrics")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert (
        service["spec"]["selector"].items()
        <= of_kind(documents, "Deployment", "-api")["spec"]["template"]["metadata"]["labels"].items()
    )


def test_compose_runs_every_process_locked_down_with_a_probe_and_settings_there_are():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = {name: service for name, service in services.items() if service["image"] == "gql-server"}

    assert set(ours) == {"migrate", "api", "worker"}
    for service in ours.values():
        assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])
        assert set(service["environment"]) - KNOWN == set()
    assert all("/readyz" in ours[name]["healthcheck"]["test"][-1] for name in ("api", "worker"))


def test_the_image_serves_every_address_as_nobody_in_particular_and_is_told_only_settings_there_are():
    image = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]

    told = dict(re.findall(r"\b(GQL_\w+)=(\S+)", image))
    assert set(told) - KNOWN == set()
    assert (told["GQL_HOST"], told["GQL_METRICS_HOST"]) == ("0.0.0.0", "0.0.0.0")
    assert re.findall(r"^USER (.*)$", image, re.MULTILINE) == ["10001:10001"]
