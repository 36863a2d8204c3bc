import type { RawSearch } from "@/model/search";
import { text } from "@/model/search";

export interface WebhooksSearch {
  app_name?: string | undefined;
  route?: string | undefined;
  status?: string | undefined;
  /** The delivery that is looked at, of `route`. */
  delivery?: string | undefined;
}

export function validateSearch(search: RawSearch): WebhooksSearch {
  return { app_name: text(search.app_name), route: text(search.route), status: text(search.status), delivery: text(search.delivery) };
}
