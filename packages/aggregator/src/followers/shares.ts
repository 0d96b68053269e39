import type { Channel } from './follower.ts';
import { type Piece, selectFrom } from './live-window.ts';

/** What a channel gets of a piece. */
export interface Share {
  readonly piece: Piece;
  /** Of each topic of the piece, whether the channel means it. */
  readonly meant: readonly boolean[];
  readonly bytes: Uint8Array | null;
}

/** By channel, its shares in order. Only those are there who have one: of many channels few are meant at once. */
export function sharesOf(
  pieces: readonly Piece[],
  route: (topic: string) => readonly Channel[],
): Map<Channel, Share[]> {
  const shares = new Map<Channel, Share[]>();
  for (const piece of pieces) {
    const meantBy = new Map<Channel, boolean[]>();
    for (const [place, topic] of piece.topics.entries()) {
      for (const channel of route(topic)) {
        let meant = meantBy.get(channel);
        if (meant === undefined) meantBy.set(channel, (meant = piece.topics.map(() => false)));
        meant[place] = true;
      }
    }
    for (const [channel, meant] of meantBy) {
      const share = { piece, meant, bytes: selectFrom(piece, meant, 0) };
      const before = shares.get(channel);
      if (before === undefined) shares.set(channel, [share]);
      else before.push(share);
    }
  }
  return shares;
}
