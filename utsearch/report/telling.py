"""From a stored study to what the pages tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utsearch.report.groups import About
    from utsearch.report.story import Story
    from utsearch.search import Study


def about_of(study: Study) -> About:
    """The words of a study for headings."""
    from utsearch.report.groups import About

    return About.of(study.name, study.settings, study.scale)


def story_of(study: Study) -> Story:
    """All that a report tells of a study, as plain data."""
    from utsearch.report.confirmed import confirmed_of, rivalries_of
    from utsearch.report.story import Story
    from utsearch.search.comparing import comparisons
    from utsearch.search.evaluation import results
    from utsearch.search.importance import importance

    found = results(study)
    return Story(
        about_of(study),
        study.records(),
        depth=study.depth,
        importance=importance(study),
        confirmed=confirmed_of(found),
        rivalries=rivalries_of(comparisons(found)),
        sessions=study.sessions,
        has_weights=not study.is_reference,
    )
