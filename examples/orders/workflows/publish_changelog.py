"""The changelog that a push to the repository becomes: started by GitHub's webhook."""

from __future__ import annotations

from pydantic import BaseModel

from stepwell import END, Markdown, Workflow, transition


class ChangelogArgs(BaseModel):
    repository: str
    messages: list[str]


class PublishChangelog(Workflow[ChangelogArgs, None, int], title="Publish a changelog"):
    """Show what was pushed."""

    @transition(target=END)
    async def publish(self) -> int:
        lines = [f"# {self.args.repository}", *(f"- {message}" for message in self.args.messages)]
        await self.documents.save(Markdown(text="\n".join(lines)), key="changelog")
        return len(self.args.messages)
