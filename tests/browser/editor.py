"""ComfyUI's editor as a test drives it: open, load a workflow, find what is ours, watch for complaints.

Acts as a person does (clicks, keys, accessible names) and reads facts from the server; knows no internals of our modules.
"""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Locator, Page

from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

READY = "window.app?.extensionManager?.command?.commands?.some((c) => c.id === 'Expeditor.RunWithPriority') && window.app.rootGraph"
# The browser's own note of a refusal that the test provoked; a file of ours that cannot be loaded has another address.
REFUSED = re.compile(r"status of 4\d\d .*/api/expeditor/")
# The page asks its maker about every class of a pack, the test nodes' too; no test reaches the internet.
NOT_HERE = "https://api.comfy.org/"
# What the page says when an extension misbehaves, wherever the message comes from.
OUR_FAULTS = ("expeditor", "unknown message type", "already registered", "[deprecated]")


class Editor:
    """One page of ComfyUI's editor."""

    def __init__(self, page: Page, server: RealComfyUI) -> None:
        self.page = page
        self.server = server
        self.complaints: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", self._on_page_error)

    # -- the page ------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Go to the editor and wait until extensions have run."""
        self.page.goto(self.server.url, wait_until="domcontentloaded")
        self._wait_ready()

    def reload(self) -> None:
        """F5."""
        self.page.reload(wait_until="domcontentloaded")
        self._wait_ready()

    def load(self, workflow: dict[str, Any]) -> None:
        """Open a workflow in the editor's own (not the API's) format."""
        self.page.evaluate("(graph) => window.app.loadGraphData(graph)", workflow)

    def set_setting(self, name: str, value: Any) -> None:
        """Change one of the person's settings."""
        self.page.evaluate("([name, value]) => window.app.extensionManager.setting.set(name, value)", [name, value])

    # -- ours ----------------------------------------------------------------------------------------------------

    @property
    def action_button(self) -> Locator:
        """The action bar's button."""
        return self.page.get_by_role("button", name="Run with priority…")

    @property
    def dialog(self) -> Locator:
        """The dialog that asks for a priority."""
        return self.page.get_by_role("dialog", name="Run with priority")

    def run_with_priority(self, priority: int) -> str:
        """Button, choice, Run; the id of the job that came of it."""
        known = {job["id"] for job in self.jobs()}
        self.action_button.click()
        self.dialog.get_by_role("radio", name=str(priority), exact=True).click()
        self.dialog.get_by_role("button", name="Run", exact=True).click()
        return wait_until(
            lambda: next((job["id"] for job in self.jobs() if job["id"] not in known), None), what="a new job"
        )

    def question(self, label: str) -> Locator:
        """The text field of a waiting node."""
        return self.page.get_by_label(label, exact=True)

    def send(self, label: str, text: str) -> None:
        """Answer a waiting node by its field and button."""
        self.question(label).fill(text)
        self.page.locator(".expeditor-wait", has=self.question(label)).get_by_role("button", name="Send").click()

    @property
    def in_node(self) -> Locator:
        """What stands inside the one waiting node."""
        return self.page.locator(".expeditor-wait")

    @property
    def panel(self) -> Locator:
        """Our sidebar tab, where it is open."""
        return self.page.locator(".expeditor-panel")

    def open_panel(self) -> Locator:
        """Open it by its icon."""
        self.page.locator(".side-bar-button", has=self.page.locator(".pi-comments")).first.click()
        return self.panel

    def post_message(self, **fields: str) -> tuple[int, Any]:
        """What the server answers when a page's script posts FormData: status and body."""
        answer = self.page.evaluate(
            """async (fields) => {
                const form = new FormData();
                for (const [name, value] of Object.entries(fields)) form.append(name, value);
                const response = await window.app.api.fetchApi("/expeditor/messages", { method: "POST", body: form });
                return [response.status, await response.text()];
            }""",
            fields,
        )
        return answer[0], json.loads(answer[1])

    # -- facts ---------------------------------------------------------------------------------------------------

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, newest first."""
        return self.server.get("/expeditor/jobs").json()["jobs"]

    def ended(self, job_id: str) -> dict[str, Any]:
        """The job, waited for until it has ended."""

        def look() -> dict[str, Any] | None:
            job = self.server.get(f"/expeditor/jobs/{job_id}").json()
            return job if job["finished_at"] else None

        return wait_until(look, what=f"the end of job {job_id}")

    def history(self, job_id: str) -> dict[str, Any]:
        """The job's entry in ComfyUI's own history, waited for: core writes it after the job's committed end."""
        address = f"/history/{job_id}"
        return wait_until(lambda: self.server.get(address).json().get(job_id), what=f"the history of job {job_id}")

    def shown_texts(self, job_id: str, node_id: str) -> list[str]:
        """What a text-showing output node was given, by ComfyUI's own history."""
        return self.history(job_id)["outputs"][node_id]["text"]

    def pending(self) -> list[dict[str, Any]]:
        """The waits that can be answered."""
        return self.server.get("/expeditor/messages/pending").json()["pending"]

    # -- inside --------------------------------------------------------------------------------------------------

    def _wait_ready(self) -> None:
        self.page.wait_for_function(READY)

    def _on_console(self, message: ConsoleMessage) -> None:
        said = f"{message.text} {message.location.get('url', '')}"
        if REFUSED.search(said) or NOT_HERE in said:
            return
        if message.type in {"error", "warning"} and any(fault in said.lower() for fault in OUR_FAULTS):
            self.complaints.append(said)

    def _on_page_error(self, error: Error) -> None:
        if "expeditor" in f"{error.message} {error.stack}".lower():
            self.complaints.append(str(error))
