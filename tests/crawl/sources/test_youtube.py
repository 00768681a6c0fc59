"""YouTube: answers in the form of the Data API v3, units counted, and no video fetched unless that is asked for."""

import subprocess
import sys
from datetime import date

import pytest

from stages.crawl.sources import Visit, youtube
from stages.crawl.sources.youtube import Config, build
from stages.errors import SourceError
from stages.records import Evidence

QUOTA = {"error": {"code": 403, "message": "The request cannot be completed because you have exceeded your quota.",
                   "errors": [{"domain": "youtube.quota", "reason": "quotaExceeded"}]}}  # fmt: skip
BAD_KEY = {
    "error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}
}


@pytest.fixture(autouse=True)
def youtube_key(monkeypatch):
    """A key, for all tests but those that take it away."""
    monkeypatch.setenv("DARKROOM_YOUTUBE_KEY", "abc123")


@pytest.fixture
def config():
    """The source's settings; give others to change them."""

    def make(base, **others):
        values = {"base": base, "search": "galaxy", "licence": "CC-BY-3.0", "longest": 600, "download": False}
        values |= {"since": date(2024, 1, 1), "until": date(2024, 12, 31)}
        return Config(**(values | {"max_items": 100, "budget": 10_000} | others))

    return make


def video(id, **others):
    """One video as ``videos.list`` gives it."""
    snippet = {"title": f"Title {id}", "channelTitle": "Ann"}
    return {
        "id": id,
        "snippet": snippet,
        "status": {"license": "creativeCommon"},
        "contentDetails": {"duration": "PT1M5S"},
    } | others


@pytest.fixture
def tube(platform):
    """A YouTube of pages of videos."""

    def start(*pages):
        def search(query):
            number = int(query.get("pageToken", "0"))
            items = [{"id": {"kind": "youtube#video", "videoId": each["id"]}, "snippet": {}} for each in pages[number]]
            return {"items": items} | ({"nextPageToken": str(number + 1)} if number + 1 < len(pages) else {})

        def videos(query):
            known = {each["id"]: each for page in pages for each in page if "snippet" in each}
            return {"items": [known[id] for id in reversed(query["id"].split(",")) if id in known]}

        return platform({"/youtube/v3/search": search, "/youtube/v3/videos": videos})

    return start


STAND_IN = """
import sys, time
from pathlib import Path
id, out = sys.argv[-1].rsplit("=")[-1], sys.argv[sys.argv.index("--output") + 1]
if id == "gone":
    sys.exit("WARNING: something\\nERROR: [youtube] gone: Video unavailable")
if id == "slow":
    time.sleep(60)
if id != "large":
    Path(out.replace("%(id)s.%(ext)s", f"{id}.mp4")).write_bytes(b"film " + id.encode())
"""


@pytest.fixture
def downloader(tmp_path, monkeypatch):
    """Stands for yt-dlp: a module of its name that writes what a video would be, or fails as it does."""
    folder = tmp_path / "modules" / "yt_dlp"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "__main__.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))


def test_without_leave_to_download_each_video_is_missed_with_that_reason(tube, config, asked_of):
    server = tube([video("a"), video("b")])
    found, missed = asked_of(build(config(server.base)))
    assert found == []
    assert [(each.url, each.reason, each.forbidden) for each in missed] == [
        ("https://www.youtube.com/watch?v=a", youtube.NOT_ALLOWED, True),
        ("https://www.youtube.com/watch?v=b", youtube.NOT_ALLOWED, True),
    ]


def test_it_asks_as_documented_with_the_key_in_a_header(tube, config, asked_of):
    server = tube([video("a"), video("b")])
    asked_of(build(config(server.base)))
    (_, search), (_, facts) = server.asked
    assert (search["part"], search["type"], search["videoLicense"]) == ("snippet", "video", "creativeCommon")
    assert (search["q"], search["order"], search["maxResults"]) == ("galaxy", "date", "50")
    assert (search["publishedAfter"], search["publishedBefore"]) == ("2024-01-01T00:00:00Z", "2024-12-31T23:59:59Z")
    assert (facts["part"], facts["id"]) == ("snippet,status,contentDetails", "a,b")
    assert [headers["X-Goog-Api-Key"] for headers in server.headers] == ["abc123"] * 2
    assert not any("key" in query for _, query in server.asked)


def test_pages_follow_each_other_and_each_costs_its_units(tube, config, asked_of):
    server = tube([video("a")], [video("b")], [video("c")])
    _, missed = asked_of(build(config(server.base, budget=202)))
    assert [each.url[-1] for each in missed[:2]] == ["a", "b"]
    assert "the budget of 202 units in 24 h is used up" in missed[2].reason
    assert len(missed) == 3
    _, missed = asked_of(build(config(server.base, budget=303)))
    assert [each.url[-1] for each in missed] == ["a", "b", "c"]
    assert [query.get("pageToken") for path, query in server.asked if path.endswith("search")] == [None, "1", "2"]


def test_with_leave_videos_under_creative_commons_are_fetched(tube, config, asked_of, downloader):
    server = tube([video("a"), video("own", status={"license": "youtube"}), video("gone"), video("large")])
    (found,), missed = asked_of(build(config(server.base, download=True)))
    assert (found.body, found.kind, found.title, found.author) == (b"film a", "video", "Title a", "Ann")
    assert found.url == found.page == "https://www.youtube.com/watch?v=a"
    assert found.licence_evidence == (Evidence(where="api youtube creativeCommon", raw="CC-BY-3.0", scope="picture"),)
    assert [each.reason for each in missed] == [
        "not under Creative Commons",
        "yt-dlp: ERROR: [youtube] gone: Video unavailable",
        "more than 5,000,000 bytes (max_bytes)",
    ]


def test_a_download_that_takes_too_long_is_missed(tube, config, asked_of, downloader):
    server = tube([video("slow")])
    _, (missed,) = asked_of(build(config(server.base, download=True)), deadline=0.5)
    assert missed.reason == "yt-dlp: not done after 0.5 s (deadline)"


def test_without_yt_dlp_leave_to_download_is_one_message(tube, config, asked_of, monkeypatch):
    monkeypatch.setattr(youtube, "find_spec", lambda _: None)
    with pytest.raises(SourceError, match=r"yt-dlp is not installed; `pip install 'darkroom\[youtube\]'`"):
        asked_of(build(config(tube([]).base, download=True)))


def test_yt_dlp_knows_the_options(manners, tmp_path):
    visit = Visit(manners=manners(), own=tmp_path, fresh_hours=1.0)
    command = [sys.executable, "-m", "yt_dlp", *youtube.options(str(tmp_path), visit), "--version"]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout.startswith("20")


def test_a_row_of_any_shape_is_missed_with_its_reason(tube, config, asked_of):
    odd = [
        {"id": "a"},
        video("b", snippet=7),
        video("c", contentDetails={"duration": "PT11M"}),
        video("d", contentDetails=None),
    ]
    _, missed = asked_of(build(config(tube(odd).base)))
    assert [(each.url[-1], each.reason) for each in missed] == [
        ("a", "the API tells nothing of the video: it may be gone"),
        ("b", "the API tells nothing of the video: it may be gone"),
        ("c", "660 seconds, longer than 600 (longest)"),
        ("d", youtube.NOT_ALLOWED),
    ]


def test_results_that_are_no_videos_are_passed_over(platform, config, asked_of):
    items = [{"id": {"kind": "youtube#channel", "channelId": "x"}}, {"id": "x"}, "y", {"id": {"videoId": "a,b&c"}}]
    server = platform({"/youtube/v3/search": lambda _: {"items": items}})
    assert asked_of(build(config(server.base))) == ([], [])
    assert len(server.asked) == 1


def test_a_quota_used_up_is_said_and_the_next_run_goes_on(tube, config, asked_of):
    server = tube([video("a")], [video("b")])
    search = server.routes["/youtube/v3/search"]
    server.routes["/youtube/v3/search"] = lambda query: (403, QUOTA) if "pageToken" in query else search(query)
    _, missed = asked_of(build(config(server.base)))
    assert [each.url[-1] for each in missed[:1]] == ["a"]
    assert "quota is used up; run crawl again after midnight Pacific time" in missed[1].reason
    server.routes["/youtube/v3/search"] = search
    _, missed = asked_of(build(config(server.base)))
    assert [each.url[-1] for each in missed] == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "body"), [(400, BAD_KEY), (403, {"error": {"errors": [{"reason": "forbidden"}]}}), (401, {})]
)
def test_a_refused_key_is_one_message_with_its_variable_and_without_it(platform, config, asked_of, status, body):
    server = platform({"/youtube/v3/search": lambda _: (status, body)})
    with pytest.raises(SourceError, match=r"^DARKROOM_YOUTUBE_KEY: the platform refuses the key") as caught:
        asked_of(build(config(server.base)))
    assert "abc123" not in str(caught.value)


def test_a_missing_key_is_one_message(config, asked_of, monkeypatch):
    monkeypatch.delenv("DARKROOM_YOUTUBE_KEY")
    with pytest.raises(SourceError, match=r"^DARKROOM_YOUTUBE_KEY: not set"):
        asked_of(build(config("http://a.test")))


@pytest.mark.parametrize(
    ("duration", "length"),
    [("PT15S", 15), ("PT1H2M3S", 3723), ("P1DT1S", 86401), ("P0D", 0), ("", 0), ("PT", 0), ("1:02", 0), ("P1W", 0)],
)
def test_durations_are_read(duration, length):
    assert youtube.seconds(duration) == length
