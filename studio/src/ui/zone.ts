import { readIn } from "@/model/time";
import { setting } from "./setting";

/** The zone in which times are shown: the browser's, or UTC as on servers and in logs. */
export const zone = setting("stepwell.zone", ["local", "utc"], (chosen) => { readIn(chosen === "utc" ? "UTC" : undefined); });
