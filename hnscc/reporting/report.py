"""Turns a run folder into report.html, report.md and figures/, for a reader who is no programmer.

Everything comes from tables/, folds/ and the median models' stored predictions. The store only gives the images below
the outlines; where it cannot be read, the report says so and does without them.
"""

from hnscc.reporting.blocks import Section, write_pages
from hnscc.reporting.sections.brief import brief
from hnscc.reporting.sections.examples import examples
from hnscc.reporting.sections.lesion_slices import lesion_slices
from hnscc.reporting.sections.overlap import overlap_over_all_test_slices, overlap_slice_by_slice
from hnscc.reporting.sections.patients import patients
from hnscc.reporting.sections.provenance import provenance
from hnscc.reporting.sections.published import other_studies
from hnscc.reporting.sections.readings import readings
from hnscc.reporting.sections.supplement import supplement
from hnscc.reporting.sections.training import training
from hnscc.reporting.sections.whole_scans import whole_scans
from hnscc.reporting.source import Source, read_source
from hnscc.study.run_folder import RunFolder

# The files in figures/, in the order in which the report shows them.
FIGURES = ("repeats", "differences", "fig2_good", "fig3_poor", "fig4_pixels", "learning", "thresholds")


def write_report(run: RunFolder) -> None:
    """Write figures/*.png and *.svg, report.md and report.html of a run folder whose tables are written.

    Raises InputError where the study, a table, a fold's split.json or provenance.json cannot be read. If the store
    cannot be read, the report says so.
    """
    source = read_source(run)
    write_pages(run, f"Report of the study {source.study.name}", sections(source), FIGURES)


def sections(source: Source) -> list[Section]:
    """Return the report's sections in the order in which they are read."""
    # This section is made first, so that a damaged provenance.json is refused before any figure is made.
    last = provenance(source)
    return [
        brief(source),
        patients(source),
        overlap_over_all_test_slices(source),
        overlap_slice_by_slice(source),
        whole_scans(source),
        examples(source),
        lesion_slices(source),
        readings(source),
        other_studies(source),
        training(source),
        supplement(source),
        last,
    ]
