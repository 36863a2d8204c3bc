import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { deliveriesQuery } from "@/api/queries";
import type { Delivery } from "@/api/types";
import { Everybody } from "@/blocks/rights/Everybody";
import { STATUSES, isMoving, isStatus } from "@/model/status";
import { Button } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { RelativeTime } from "@/ui/Time";
import { DeliveryStatus } from "./DeliveryStatus";
import { Filter } from "./Filter";
import { Inspector } from "./Inspector";
import type { WebhooksSearch } from "./search";

const route = getRouteApi("/webhooks");
/** Deliveries have no events: the page polls, more often while one of them is being handled. */
const EVERY = 5_000;
const SOON = 1_000;

export default function Page() {
  return (
    <Everybody title="Webhooks" what="Webhook deliveries">
      <AllDeliveries />
    </Everybody>
  );
}

function AllDeliveries() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { delivery: open, ...filter } = search;
  const deliveries = useInfiniteQuery({ ...deliveriesQuery(filter), placeholderData: keepPreviousData, refetchInterval: ({ state }) => (state.data?.pages.some((page) => page.items.some(isHandled)) ? SOON : EVERY) });
  const all = deliveries.data?.pages.flatMap((page) => page.items) ?? [];
  const inspected = all.find((one) => one.delivery_id === open);
  const go = (next: WebhooksSearch) => void navigate({ to: "/webhooks", search: next, replace: true });
  return (
    <>
      <PageHeader title="Webhooks" description="Signed deliveries from other systems, and their outcomes. Each delivery counts once." />
      <Filter search={search} onChange={go} />
      <QueryView query={deliveries} errorTitle="The deliveries couldn't be loaded">
        {() => (all.length === 0 ? <NoDeliveries filtered={Object.values(filter).some(Boolean)} onClear={() => { go({}); }} /> : <Deliveries deliveries={all} open={open} onOpen={(one) => { go({ ...search, delivery: one.delivery_id }); }} />)}
      </QueryView>
      {deliveries.hasNextPage && (
        <Button className="mt-3" pending={deliveries.isFetchingNextPage} onClick={() => void deliveries.fetchNextPage()}>
          Older deliveries
        </Button>
      )}
      {inspected && <Inspector delivery={inspected} onClose={() => { go({ ...search, delivery: undefined }); }} />}
    </>
  );
}

function Deliveries({ deliveries, open, onOpen }: { deliveries: readonly Delivery[]; open: string | undefined; onOpen: (delivery: Delivery) => void }) {
  const columns: Column<Delivery>[] = [
    { id: "status", header: "Status", cell: (one) => <DeliveryStatus delivery={one} /> },
    { id: "received", header: "Received", cell: (one) => <RelativeTime at={one.received_at} /> },
    { id: "route", header: "Route", cell: (one) => <Route delivery={one} /> },
    { id: "delivery", header: "Delivery", cell: (one) => <DeliveryButton delivery={one} onOpen={onOpen} /> },
    { id: "started", header: "Started", cell: (one) => (one.started.length === 0 ? "" : one.started.length === 1 ? "1 run" : `${String(one.started.length)} runs`) },
    { id: "error", header: "Error", className: "max-w-80 truncate text-failed", cell: (one) => one.error?.split("\n", 1)[0] ?? "" },
  ];
  return <DataTable label="Deliveries" columns={columns} rows={deliveries} rowId={keyOf} onOpen={onOpen} current={deliveries.filter((one) => one.delivery_id === open).map(keyOf)[0]} />;
}

const isHandled = (one: Delivery) => isStatus(one.status) && isMoving(one.status);
const keyOf = (one: Delivery) => `${one.app_name}/${one.route}/${one.delivery_id}`;

function Route({ delivery }: { delivery: Delivery }) {
  return (
    <>
      {delivery.route} <span className="text-xs text-muted">{delivery.app_name}</span>
    </>
  );
}

function DeliveryButton({ delivery, onOpen }: { delivery: Delivery; onOpen: (delivery: Delivery) => void }) {
  return (
    <button type="button" className="prose-link min-h-6" onClick={() => { onOpen(delivery); }}>
      <code>{delivery.delivery_id}</code>
    </button>
  );
}

function NoDeliveries({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  if (filtered) {
    return (
      <EmptyState title="No matching deliveries" action={<Button onClick={onClear}>Clear the filters</Button>}>
        Statuses are those of runs: {Object.values(STATUSES).map((one) => one.word).join(", ")}.
      </EmptyState>
    );
  }
  return (
    <EmptyState title="No deliveries yet">
      Declare a route with <code>@app.webhook("/webhooks/stripe", verify=stripe_signature(secret=...))</code>; its deliveries are listed here.
    </EmptyState>
  );
}
