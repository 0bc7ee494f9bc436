/** The ways in which a hostile process scribbles into a segment (hostilePeer.ts). */
export const ATTACKS = [
  'random words anywhere',
  'random words in headers of lines',
  'sizes that change back and forth',
  'positions that move back and forth',
  'padding all over',
  'the shortest records all over',
  'a session that always moves',
  'sleepers that are none, with bells of others',
] as const;
export type Attack = (typeof ATTACKS)[number];
