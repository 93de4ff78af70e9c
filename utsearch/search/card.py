"""What an export says of the trial it was made from."""

from utsearch.card import Card, Confirmation, Metrics, make_card
from utsearch.search.evaluation import results
from utsearch.search.record import Record
from utsearch.search.study import Study


def card_of(study: Study, record: Record) -> Card:
    """The export's card of a trial: design, backbone, classes, preprocessing, metrics and provenance."""
    metrics = Metrics(
        val_top1=record.top1 or 0.0,
        standard_error=record.standard_error or 0.0,
        n_params=record.n_params,
        n_head=record.n_head,
        epoch=record.epoch,
        seconds=record.seconds,
        seeds=1,
        confirmed=confirmation_of(study, record),
    )
    provenance = {
        "study": study.name,
        "trial": record.number,
        "known_design": record.baseline,
        "digest": record.digest,
        "seed": record.seed,
        "space": study.settings["space"],
        "sessions": study.sessions,
    }
    return make_card(study.settings, record.design, metrics, provenance)


def confirmation_of(study: Study, record: Record) -> Confirmation | None:
    """What fresh seeds said of the record's design; None where fewer than two were read."""
    for result in results(study):
        if result.subject.digest == record.digest and result.interval is not None:
            low, high = result.interval
            return Confirmation(
                test_top1=result.top1, low=low, high=high, seeds=len(result.seeds), rate=result.subject.rate
            )
    return None
