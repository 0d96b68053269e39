/**
 * Finds fewer bytes that still fail, by leaving out pieces, large ones first, as long as the failure stays (the removing
 * half of Zeller and Hildebrandt's delta debugging).
 */
export async function minimized(
  failing: Buffer,
  triesMax: number,
  fails: (bytes: Buffer) => Promise<boolean>,
): Promise<Buffer> {
  let bytes = failing;
  let tries = 0;
  if (triesMax === 0 || !(await fails(bytes))) return bytes;
  for (let size = Math.ceil(bytes.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < bytes.length;) {
      if (++tries > triesMax) return bytes;
      const fewer = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)]);
      if (await fails(fewer)) bytes = fewer;
      else at += size;
    }
  }
  return bytes;
}
