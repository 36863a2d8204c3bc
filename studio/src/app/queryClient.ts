import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "@/api/problem";

export function newQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // The stream reports changes; this only avoids a second request for data that was just read.
        staleTime: 2_000,
        retry: (failures, error) => failures < 2 && mayPass(error),
        // A browser that thinks it is offline still reaches a server on the same machine.
        networkMode: "always",
      },
      mutations: { networkMode: "always" },
    },
  });
}

/** No answer, or an error of the server. A request that was refused would be refused again. */
function mayPass(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status >= 500);
}
