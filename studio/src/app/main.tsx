import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "@/ui/theme.css";
import { newQueryClient } from "./queryClient";
import { reloadOnce } from "./reload";
import { router } from "./router";

// Radix locks scrolling with a <style> element, which the Content-Security-Policy allows with this answer's nonce only.
const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce;
if (nonce) setNonce(nonce);

// After an upgrade, an open page names chunks that are gone.
window.addEventListener("vite:preloadError", reloadOnce);

const place = document.getElementById("root");
if (!place) throw new Error("index.html has no #root");
createRoot(place).render(
  <StrictMode>
    <QueryClientProvider client={newQueryClient()}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
