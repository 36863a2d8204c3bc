import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { LockKeyhole } from "lucide-react";
import type { ReactNode } from "react";
import { meQuery } from "@/api/queries";
import { everybodyOff } from "@/model/rights";
import { buttonClass } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { EmptyState } from "@/ui/States";

/** A page about everybody's runs: whoever sees only their own reads why it is closed, and nothing is asked of the API. */
export function Everybody({ title, what, children }: { title: string; what: string; children: ReactNode }) {
  const off = everybodyOff(useQuery(meQuery()).data, what);
  if (off === null) return children;
  return (
    <>
      <PageHeader title={title} />
      <EmptyState
        title="This page isn't open to you"
        icon={<LockKeyhole size={28} strokeWidth={1.5} aria-hidden />}
        action={
          <Link to="/runs" className={buttonClass()}>
            Your runs
          </Link>
        }
      >
        {off}
      </EmptyState>
    </>
  );
}
