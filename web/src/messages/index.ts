// Every word on the screen comes from here. One file per language; English is the measure of what must exist.
export { en as m } from "./en";
