// Short names of runs for where there is little room.

const ROOM = 18;

/** A short name for each run: its own where it is short, the part before its first comma where that tells runs apart, or a letter. */
export function shortNames(names) {
  const heads = names.map((name) => name.split(", ")[0]);
  const tell = (short) => short.every((name) => name.length <= ROOM) && new Set(short).size === short.length;
  if (tell(names)) return names;
  if (tell(heads)) return heads;
  return names.map((_, index) => (index < 26 ? String.fromCharCode(65 + index) : `run ${index + 1}`));
}
