/** Everything that a check can find, declared once: the command prints it, and docs/fsck.md has the same table. */

export interface Kind {
  /** Of a problem; a note is no reason to do anything. */
  readonly severity: 'problem' | 'note'
  /** What follows from it. */
  readonly meaning: string
  /** What a repair does; absent where only people can help. */
  readonly repair?: string
}

const unavailable = 'counts it as not there, so that clients push it again'

export const kinds = {
  'foreign store': {
    severity: 'problem',
    meaning: 'it says that its blobs are those of another database; nothing else is looked at',
  },
  'absent store': {
    severity: 'problem',
    meaning:
      'it does not say whose blobs it keeps, and has none that the database knows: is it the right place, and mounted? ' +
      'Nothing else is looked at without --accept-loss',
    repair: 'with --accept-loss makes it the store of this database, and goes on',
  },
  'unmarked store': {
    severity: 'problem',
    meaning: 'it does not say whose blobs it keeps, so that another database’s server could take it for its own',
    repair: 'makes it the store of this database',
  },
  'damaged blob': {
    severity: 'problem',
    meaning: 'the stored bytes are not what was pushed, and every pull of it fails',
    repair: unavailable,
  },
  'missing blob': {
    severity: 'problem',
    meaning: 'the bytes are gone, and every pull of it fails',
    repair: unavailable,
  },
  'unreadable blob': {
    severity: 'problem',
    meaning: 'the disk does not give the bytes back, and every pull of it fails',
    repair: unavailable,
  },
  'wrong blob size': {
    severity: 'problem',
    meaning: 'the database states another size than the bytes have, and pulls fail or end early',
    repair: 'takes over the size of the bytes',
  },
  'withheld blob': {
    severity: 'problem',
    meaning: 'it counts as damaged, but its bytes are right: clients are told that it is not there',
    repair: 'serves it again',
  },
  'unqueued blob': {
    severity: 'problem',
    meaning: 'no repository links it, and no collection would ever remove it',
    repair: 'puts it up for collection',
  },
  'queued blob': {
    severity: 'problem',
    meaning: 'it is up for collection although a repository links it; a collection looks again and leaves it',
    repair: 'takes it out of the queue',
  },
  'link without a blob': {
    severity: 'problem',
    meaning: 'the repository is said to have a blob that the database does not know',
    repair: 'enters the blob anew where its bytes are there and right, else removes the link',
  },
  'unqueued link': {
    severity: 'problem',
    meaning: 'no manifest of the repository names the blob, and no collection would ever remove the link',
    repair: 'puts it up for collection',
  },
  'queued link': {
    severity: 'problem',
    meaning: 'it is up for collection although a manifest names the blob; a collection looks again and leaves it',
    repair: 'takes it out of the queue',
  },
  'damaged manifest': {
    severity: 'problem',
    meaning: 'the stored bytes do not have its digest',
    repair: 'takes the bytes of another repository that has it, else removes it with its tags',
  },
  'unreadable manifest': {
    severity: 'problem',
    meaning: 'the bytes are what was pushed, but this version takes them for no manifest',
  },
  'wrong manifest row': {
    severity: 'problem',
    meaning: 'lists show something else than the manifest says, or the collection counts other references',
    repair: 'works the row out anew from the bytes',
  },
  'unqueued manifest': {
    severity: 'problem',
    meaning: 'it has no tag, no index and no subject, and `berth gc --untagged` would never remove it',
    repair: 'puts it up for collection',
  },
  'missing content': {
    severity: 'problem',
    meaning: 'the manifest names blobs that its repository does not have: who pulls it fails; push them again',
  },
  'misplaced tag': {
    severity: 'problem',
    meaning: "the tag names another repository's manifest",
    repair: "names the same manifest of the tag's own repository, or removes the tag where it has none",
  },
  'wrong manifest count': {
    severity: 'problem',
    meaning: 'the repository has another number of manifests than it is said to have; at 0 it is not listed',
    repair: 'counts anew',
  },
  'wrong link count': {
    severity: 'problem',
    meaning: 'another number of repositories links the blob than is noted: usage will come to be wrong',
    repair: 'counts anew',
  },
  'wrong usage': {
    severity: 'problem',
    meaning: 'another number of bytes is stored than is noted',
    repair: 'counts anew',
  },
  'orphaned bytes': {
    severity: 'problem',
    meaning: 'the store has bytes that the database knows nothing of: they only take space',
    repair: 'puts them up for collection, which removes them after the grace',
  },
  'orphaned upload': {
    severity: 'problem',
    meaning: 'the store has an unfinished upload that the database knows nothing of, older than --upload-expiry',
    repair: 'removes it',
  },
  'lost upload': {
    severity: 'problem',
    meaning: 'the database has an unfinished upload that the store knows nothing of, older than --upload-expiry',
    repair: 'removes it; its client begins anew',
  },
  'malformed digest': {
    severity: 'problem',
    meaning: 'nobody can ever ask for what is stored under that name',
  },
  'foreign layers': {
    severity: 'note',
    meaning: 'the manifest names layers that clients get from elsewhere',
  },
  'sparse content': {
    severity: 'note',
    meaning: 'the manifest names blobs that its repository does not have, as the registry allows',
  },
  'absent children': {
    severity: 'note',
    meaning: 'the index names manifests that its repository does not have: deleted, or never pushed',
  },
} as const satisfies Record<string, Kind>

export type KindName = keyof typeof kinds

export const kindOf = (name: KindName): Kind => kinds[name]

/** The table for people, in Markdown. */
export function formatKinds(): string {
  const rows = (Object.keys(kinds) as KindName[]).map((name) => {
    const { severity, meaning, repair } = kindOf(name)
    return `| ${name} | ${severity} | ${meaning} | ${repair ?? ''} |`
  })
  return ['| Finding | Is a | Which means | `--repair` |', '|---|---|---|---|', ...rows].join('\n')
}
