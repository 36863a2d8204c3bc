import { readIn } from "@/model/time";
import { setting } from "./setting";

/** In which zone moments are told: the browser's, or UTC as servers and logs have it. */
export const zone = setting("stepwell.zone", ["local", "utc"], (chosen) => { readIn(chosen === "utc" ? "UTC" : undefined); });
