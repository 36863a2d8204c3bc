import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { reloadIfUpgraded } from "@/ui/code";
import "@/ui/theme.css";
import { newQueryClient } from "./queryClient";
import { router } from "./router";

// Radix locks scrolling with a <style> element, which the Content-Security-Policy allows with this answer's nonce only.
const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce;
if (nonce) setNonce(nonce);

window.addEventListener("vite:preloadError", () => void reloadIfUpgraded());

const place = document.getElementById("root");
if (!place) throw new Error("index.html has no #root");
createRoot(place).render(
  <StrictMode>
    <QueryClientProvider client={newQueryClient()}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
