import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { batchItemsQuery } from "@/api/queries";
import type { Batch } from "@/api/types";
import { counted } from "@/model/actions";
import { STATUSES } from "@/model/status";
import { brief } from "@/model/why";
import { Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { StatusShape } from "@/ui/StatusShape";

const SHOWN = 5;

/** The first failed runs with their errors. Nothing if none has failed. */
export function WhatFailed({ batch }: { batch: Batch }) {
  const { failed } = batch.progress;
  const first = batchItemsQuery(batch.batch_id, "failed", SHOWN);
  // Fetched again exactly when their number has changed.
  const query = useInfiniteQuery({ ...first, queryKey: [...first.queryKey, failed], placeholderData: keepPreviousData, enabled: failed > 0 });
  if (failed === 0) return null;
  const { shape, token } = STATUSES.failed;
  return (
    <Section title="What failed">
      <QueryView query={query} errorTitle="The failed runs couldn't be loaded">
        {({ pages }) => (
          <ul className="divide-y rounded-md border">
            {pages.flatMap(({ items }) => items).map((item) => (
              <li key={item.workflow_id} className="flex items-start gap-2 px-3 py-2">
                <span className="pt-1">
                  <StatusShape shape={shape} token={token} />
                </span>
                <div className="min-w-0">
                  <Link to="/runs/$workflowId" params={{ workflowId: item.workflow_id }} className="prose-link font-medium wrap-anywhere" title={item.error ?? undefined}>
                    {brief(item.error)}
                  </Link>
                  <div className="text-xs text-muted">index {item.index}</div>
                </div>
              </li>
            ))}
          </ul>
        )}
      </QueryView>
      {failed > SHOWN && (
        <Link to="/batches/$batchId" params={{ batchId: batch.batch_id }} search={{ status: "failed" }} className="prose-link mt-2 inline-block">
          All {counted(failed, "failed run")}
        </Link>
      )}
    </Section>
  );
}
