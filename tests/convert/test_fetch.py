import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from convert.fetch import Fetched, Lock, fetch_imagenet, published
from convert.fetch.imagenet import HOST, LOCK, MIRROR
from convert.model import MobileNetV1, ModelConfig
from edge.bundles.bundle import open_bundle, read_labels
from edge.bundles.variant import ALPHAS, RESOLUTIONS
from edge.errors import DownloadError, EdgeError, OutputError, VariantError
from edge.updates.download import Limits
from tests.convert.conftest import lively
from tests.convert.test_checkpoints import write_keras
from tests.convert.test_cli import convert
from tests.edge.file_server import (
    Behave,
    FileServer,
    Handler,
    answer_by_path,
    cut_after,
    honest,
    moved,
    says,
    serving,
    stalls_after,
)

FAST = Limits(timeout_s=0.3, tries=2, pause_s=0.0, gain_bytes=1)
WEIGHTS = "/tensorflow/keras-applications/mobilenet/mobilenet_2_5_{}_tf.h5"
CLASSES = "/download.tensorflow.org/data/imagenet_class_index.json"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the host has, by path: α = .25 at two resolutions, and the classes."""
    index = {str(n): [f"n{n:08}", f"class_{n}" if n != 7 else "class_6"] for n in range(1000)}
    found = {CLASSES: json.dumps(index).encode()}
    for seed, side in enumerate((128, 160)):
        path = tmp_path_factory.mktemp("keras") / "weights.h5"
        write_keras(lively(ModelConfig(alpha=0.25, classes=1000), seed=seed), path)
        found[WEIGHTS.format(side)] = path.read_bytes()
    return found


class Host(NamedTuple):
    """A mirror at work, and the folder to fetch into."""

    server: FileServer
    files: dict[str, bytes]
    folder: Path

    def fetch(self, *sides: int, lock: Lock | None = None) -> list[Fetched]:
        wanted = published([0.25], sides or (160, 128))
        environment = {MIRROR: f"http://127.0.0.1:{self.server.server_address[1]}/"}
        return fetch_imagenet(wanted, self.folder, lock=lock, limits=FAST, environment=environment)[0]

    def answers(self, *behaviours: Behave) -> None:
        """The next requests, each for the file that it names."""
        answer_by_path(self.server, self.files, *behaviours)

    def refusal(self, *sides: int, kind: type[EdgeError] = DownloadError) -> str:
        with pytest.raises(kind) as error:
            self.fetch(*sides)
        assert "\n" not in str(error.value)
        return str(error.value)


@pytest.fixture
def host(files: dict[str, bytes], tmp_path: Path) -> Iterator[Host]:
    with serving(b"") as server:
        made = Host(server, dict(files), tmp_path / "cache" / "imagenet")
        made.answers()
        yield made


def test_the_sixteen_are_where_keras_publishes_them() -> None:
    found = published()
    assert {one.variant for one in found} == {v for one in found if (v := one.variant)} and len(found) == 16
    assert {(v.alpha, v.resolution) for one in found if (v := one.variant)} == {
        (a, r) for a in ALPHAS for r in RESOLUTIONS
    }
    assert found[4].url({}) == f"{HOST}/tensorflow/keras-applications/mobilenet/mobilenet_7_5_224_tf.h5"


@pytest.mark.parametrize(
    ("alphas", "sides", "message"),
    [
        ((0.35,), (224,), "No weights are published for α 0.35: expected some of 1, 0.75, 0.5, 0.25."),
        ((1.0,), (96, 64), "No weights are published for ρ 96, 64: expected some of 224, 192, 160, 128."),
    ],
)
def test_a_variant_that_is_not_published_is_refused(
    alphas: tuple[float, ...], sides: tuple[int, ...], message: str
) -> None:
    with pytest.raises(VariantError) as error:
        published(alphas, sides)
    assert str(error.value) == message


def test_files_are_fetched_once_and_written_down(host: Host) -> None:
    first = host.fetch()
    assert [one.is_new for one in first] == [True, True]
    locked = json.loads((host.folder / LOCK).read_text())["files"]
    assert sorted(locked) == ["imagenet_class_index.json", "mobilenet_2_5_128_tf.h5", "mobilenet_2_5_160_tf.h5"]
    assert locked["mobilenet_2_5_160_tf.h5"]["sha256"] == first[0].sha256
    asked = len(host.server.requests)
    again = host.fetch()
    assert [one.is_new for one in again] == [False, False] and len(host.server.requests) == asked


def test_labels_are_made_of_the_index_and_tell_twins_apart(host: Host) -> None:
    host.fetch(128)
    labels = read_labels(host.folder / "labels.txt")
    assert len(labels) == len(set(labels)) == 1000
    assert labels[5:8] == ("class 5", "class 6 (n00000006)", "class 6 (n00000007)")


def test_a_cut_and_a_stall_cost_only_what_had_not_come(host: Host) -> None:
    release = threading.Event()
    host.answers(honest, cut_after(400_000), stalls_after(500_000, release))
    try:
        host.fetch(128)
    finally:
        release.set()
    ranges = [request.get("Range") for request in host.server.requests]
    assert ranges == [None, None, "bytes=400000-", "bytes=900000-"]
    assert (host.folder / "mobilenet_2_5_128_tf.h5").read_bytes() == host.files[WEIGHTS.format(128)]


def test_what_had_come_before_a_failure_is_kept_for_the_next_run(host: Host) -> None:
    host.answers(honest, cut_after(300_000), says(503), says(503))
    assert host.refusal(128).endswith("0.3 MB are kept: the next try resumes there.")
    host.answers()
    host.fetch(128)
    assert host.server.requests[-1]["Range"] == "bytes=300000-"


def test_a_redirection_is_followed(host: Host, files: dict[str, bytes]) -> None:
    with serving(files[WEIGHTS.format(128)]) as elsewhere:
        host.answers(honest, moved(elsewhere.url))
        assert host.fetch(128)[0].is_new


def shortened(handler: Handler) -> None:
    """Says that the file is shorter than it is."""
    handler.begin(200, Content_Length=700_000)
    handler.wfile.write(handler.server.content[:700_000])


def login_page(handler: Handler) -> None:
    page = b"<html>Welcome to the hotel's network</html>"
    handler.begin(200, Content_Length=len(page))
    handler.wfile.write(page)


@pytest.mark.parametrize("lie", [shortened, login_page])
def test_what_is_not_the_weights_is_neither_kept_nor_written_down(host: Host, lie: Behave) -> None:
    host.answers(honest, lie)
    message = host.refusal(128)
    assert (
        message.startswith("What http://127.0.0.1:") and "is not the file of that name, and was not kept: " in message
    )
    assert not (host.folder / "mobilenet_2_5_128_tf.h5").exists()
    assert "mobilenet_2_5_128_tf.h5" not in json.loads((host.folder / LOCK).read_text())["files"]
    host.answers()
    assert host.fetch(128)


def test_the_weights_of_another_width_are_refused(host: Host, tmp_path: Path) -> None:
    write_keras(lively(ModelConfig(alpha=0.5, classes=1000)), tmp_path / "half.h5")
    host.files[WEIGHTS.format(128)] = (tmp_path / "half.h5").read_bytes()
    assert host.refusal(128).endswith("and was not kept: it has α=0.5 and 1000 classes")


def test_a_list_of_other_classes_is_refused(host: Host) -> None:
    host.files[CLASSES] = b'{"0": ["n1", "tench"]}'
    assert host.refusal(128).endswith("is not ImageNet's: expected classes 0 to 999.")


def test_a_file_that_changed_since_is_refused_by_the_lock(host: Host, model: MobileNetV1) -> None:
    host.fetch(128)
    path = host.folder / "mobilenet_2_5_128_tf.h5"
    path.unlink()
    host.files[WEIGHTS.format(128)] = host.files[WEIGHTS.format(160)]
    assert host.refusal(128).endswith(f"So says {host.folder / LOCK}, from when it was first fetched.")
    assert not path.exists()
    host.files[WEIGHTS.format(128)] += b"more"
    assert "it is another file. So says" in host.refusal(128)


def test_a_damaged_file_is_fetched_anew(host: Host) -> None:
    (before,) = host.fetch(128)
    before.path.write_bytes(b"x" * before.size_bytes)
    (after,) = host.fetch(128)
    assert after.is_new and after.path.read_bytes() == host.files[WEIGHTS.format(128)]


def test_a_lock_of_elsewhere_holds_here_too(host: Host, tmp_path: Path) -> None:
    host.fetch(128)
    lock = tmp_path / "project.lock.json"
    shutil.copy(host.folder / LOCK, lock)
    shutil.rmtree(host.folder)
    host.files[WEIGHTS.format(128)] = host.files[WEIGHTS.format(160)]
    with pytest.raises(DownloadError) as error:
        host.fetch(128, lock=Lock(lock))
    assert str(lock) in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ('{"schema_version": 9}', "has schema 9, expected 1. Remove it to trust what is fetched next"),
        ('{"schema_version": 1, "files": {"a": {"url": 1}}}', "is damaged ("),
        ('{"schema_version": 1, "files": {"a": {"url": "u", "size_bytes": 1, "sha256": "ab"}}}', "is damaged ("),
        ('{"schema_version": 1}', "is damaged ('files')"),
    ],
)
def test_a_lock_that_cannot_be_read_is_never_overwritten(host: Host, content: str, message: str) -> None:
    host.folder.mkdir(parents=True)
    (host.folder / LOCK).write_text(content)
    assert message in host.refusal(128)
    assert (host.folder / LOCK).read_text() == content


def test_a_full_disk_is_told_before_anything_is_fetched(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    assert "Free some space" in host.refusal(128, kind=OutputError)
    assert not list(host.folder.glob("[!.]*"))


def test_a_place_that_is_no_folder_is_told(host: Host) -> None:
    host.folder.parent.write_text("a file")
    assert host.refusal(128, kind=OutputError).startswith("Cannot write ")


def test_without_a_network_one_line_says_so(host: Host, tmp_path: Path) -> None:
    environment = {MIRROR: "http://127.0.0.1:9"}
    with pytest.raises(DownloadError) as error:
        fetch_imagenet(published([0.25], [128]), tmp_path, limits=FAST, environment=environment)
    assert str(error.value).endswith("connection refused, 2 times in a row.")


def test_a_mirror_in_the_open_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as error:
        fetch_imagenet(published([0.25], [128]), tmp_path, environment={MIRROR: "http://mirror.example"})
    assert "not encrypted" in str(error.value)


def test_fetching_and_bundling_are_one_command(
    host: Host, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR, f"http://127.0.0.1:{host.server.server_address[1]}")
    wanted = ("fetch", "imagenet", "--alpha", "0.25", "--resolution", "160,128", "--to", host.folder)
    assert "already here" not in convert(*wanted).stdout
    told = json.loads(convert(*wanted, "--json").stdout)
    assert [one["fetched"] for one in told["files"]] == [False, False]
    out = tmp_path / "imagenet"
    convert(*wanted, "--bundle", out, "--calibration", pictures, "--min-agreement", 0)
    bundle = open_bundle(str(out))
    assert [entry.variant.resolution for entry in bundle.variants] == [160, 128]
    origins = bundle.manifest.source["checkpoints"]
    assert [(one["file"], one["only_at"]) for one in origins] == [
        ("mobilenet_2_5_160_tf.h5", [160]),
        ("mobilenet_2_5_128_tf.h5", [128]),
    ]
    assert len(bundle.labels) == 1000
