import { setting } from "./setting";

/** How high the rows of tables are. */
export const density = setting("stepwell.density", ["compact", "comfortable"]);
