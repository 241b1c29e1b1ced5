/** What the stores hold before anything is measured: the same names and bytes in every registry. */
import { emptyIndex, type SeedManifest, seedImage, seedReferrer, sharedConfig, sharedLayer } from './images.ts'

/**
 * `small`, `blobs`, `gibibyte` and `layers` are pushed by requests; the others are written into the stores. The ones that are
 * called large are in a store of their own that Berth alone has.
 */
export type DataSet =
  | 'small'
  | 'blobs'
  | 'gibibyte'
  | 'layers'
  | 'tags'
  | 'repositories'
  | 'referrers'
  | 'largeTags'
  | 'largeRepositories'

export const repositories = {
  small: 'bench/small',
  // Not `blobs`: that is a folder of an image layout.
  blobs: 'bench/files',
  layers: 'bench/layers',
  tags: 'bench/tags',
  referrers: 'bench/referrers',
} as const

/** Many manifests in one repository. */
export interface ManyManifests {
  readonly repository: string
  /** What the manifests name. */
  readonly blobs: readonly Buffer[]
  /** Comes before the others and, where they have a subject, is it. */
  readonly subject?: SeedManifest
  readonly count: number
  /** From 0. Either all have tags, in ascending order, or none has. */
  manifestAt(index: number): SeedManifest
}

/** Many repositories with one and the same manifest, which names no blob. */
export interface ManyRepositories {
  readonly count: number
  /** From 0, in ascending order. */
  nameAt(index: number): string
  readonly manifest: SeedManifest
}

/** Sorts as the numbers do. */
export const tagAt = (index: number): string => `v${String(index).padStart(7, '0')}`
export const repositoryAt = (index: number): string => `apps/a${String(index).padStart(7, '0')}`

export const manyTags = (count: number): ManyManifests => ({
  repository: repositories.tags,
  blobs: [sharedConfig, sharedLayer],
  count,
  manifestAt: (index) => seedImage(index, tagAt(index)),
})

export const referrersSubject = seedImage(0, 'subject')

export const manyReferrers = (count: number): ManyManifests => ({
  repository: repositories.referrers,
  blobs: [sharedConfig, sharedLayer],
  subject: referrersSubject,
  count,
  manifestAt: (index) => seedReferrer(index, referrersSubject),
})

export const manyRepositories = (count: number): ManyRepositories => ({
  count,
  nameAt: repositoryAt,
  manifest: emptyIndex,
})
