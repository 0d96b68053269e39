import type { Channel } from './follower.ts';
import { type Piece, selectFrom } from './live-window.ts';

/** A channel's part of a piece. */
export interface Share {
  readonly piece: Piece;
  /** Whether each topic of the piece passes the channel's filter. */
  readonly meant: readonly boolean[];
  readonly bytes: Uint8Array | null;
}

/**
 * The shares of each channel, in order. Channels without one are absent: of many channels few are affected at a time.
 */
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
