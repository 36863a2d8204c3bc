import { setting } from "./setting";

/** The height of the rows of tables. */
export const density = setting("stepwell.density", ["compact", "comfortable"]);
