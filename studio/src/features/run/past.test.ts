import { describe, expect, it } from "vitest";
import type { Checkpoint, Run, StoredDocument } from "@/api/types";
import { type RunView, snapshot } from "@/model/fold";
import { recording } from "@/model/recordings";
import { DOCUMENTS, MOST_DOCUMENTS, MOST_ROWS, type Past, ROWS, type Reader, isAll, light, newerDocuments, newerRows, olderDocuments, olderRows, rowsAround, shownDocuments } from "./past";

type Known = Past & { view: RunView };

const COUNT = 5_000;
const [row, document] = [recording("happy").history[1] as Checkpoint, recording("documents").documents[0] as StoredDocument];
const ROWS_ALL = Array.from({ length: COUNT }, (_, version): Checkpoint => ({ ...row, version }));
const id = (n: number) => String(n).padStart(8, "0");
const DOCUMENTS_ALL = Array.from({ length: COUNT }, (_, n): StoredDocument => ({ ...document, id: id(n), version: n, key: null }));

const server: Reader = {
  rows: ({ after = -1, before = Infinity, limit = COUNT, newest }) => {
    const found = ROWS_ALL.filter((one) => one.version > after && one.version < before);
    return Promise.resolve(newest ? found.slice(-limit) : found.slice(0, limit));
  },
  documents: ({ before = "9", limit = COUNT }) => Promise.resolve(DOCUMENTS_ALL.filter((one) => one.id < before).slice(-limit)),
};

function opened() {
  const run: Run = { ...recording("happy").run, version: COUNT - 1 };
  let known: Known = {
    view: snapshot(run, ROWS_ALL.slice(-ROWS), DOCUMENTS_ALL.slice(-DOCUMENTS)),
    pastRows: null,
    pastDocuments: null,
    allDocuments: false,
  };
  const rows = () => known.pastRows ?? known.view.rows;
  return {
    known: () => known,
    rows,
    documents: () => shownDocuments(known),
    take: async (step: (read: Reader, known: () => Known) => Promise<Partial<Known>>) => {
      known = { ...known, ...(await step(server, () => known)) };
    },
  };
}

describe("a long history", () => {
  it("is walked to its first row and back, without a gap, and few rows are kept", async () => {
    const page = opened();
    const whole = () => {
      const versions = page.rows().map((one) => one.version);
      expect(versions.every((one, at) => at === 0 || one === (versions[at - 1] as number) + 1)).toBe(true);
      expect(versions.length).toBeLessThanOrEqual(MOST_ROWS);
      return versions;
    };
    while (whole()[0] !== 0) await page.take(olderRows);
    expect(page.known().pastRows).not.toBeNull();
    while (page.known().pastRows !== null) {
      await page.take(newerRows);
      whole();
    }
    expect(whole().at(-1)).toBe(COUNT - 1);
  });

  it("is opened around any row", async () => {
    const page = opened();
    await page.take((read, known) => rowsAround(read, known, 1_234));
    expect(page.rows().map((one) => one.version)).toContain(1_234);
    await page.take((read, known) => rowsAround(read, known, 0));
    expect(page.rows()[0]?.version).toBe(0);
    await page.take((read, known) => rowsAround(read, known, COUNT - 1));
    expect(page.known().pastRows).toBeNull();
  });

  it("keeps no states that are large together", () => {
    const heavy = Array.from({ length: 5 }, (): Checkpoint => ({ ...row, state: { text: "x".repeat(1_000_000) } }));
    expect(light(heavy).every((one) => one.state === null)).toBe(true);
    expect(light([row])).toEqual([row]);
  });
});

describe("many documents", () => {
  it("are walked to the first one and back, and few are kept", async () => {
    const page = opened();
    while (!page.known().allDocuments) {
      await page.take(olderDocuments);
      expect(page.documents().length).toBeLessThanOrEqual(MOST_DOCUMENTS + DOCUMENTS);
    }
    expect(page.documents()[0]?.id).toBe(id(0));
    while (page.known().pastDocuments !== null) await page.take(newerDocuments);
    expect(page.documents().at(-1)?.id).toBe(id(COUNT - 1));
    expect(page.known().allDocuments).toBe(false);
  });

  it("may be more where the server cut its answer", () => {
    expect(isAll([])).toBe(true);
    expect(isAll([document])).toBe(true);
    expect(isAll([{ ...document, content: { text: "x".repeat(9_000_000) } }])).toBe(false);
    expect(isAll(DOCUMENTS_ALL.slice(0, DOCUMENTS))).toBe(false);
  });
});
