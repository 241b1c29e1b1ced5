/**
 * Manifests that may be superfluous: without a tag, named by no index of their repository, referring to no subject that is
 * there. Key: manifest_id. Index: (since, manifest_id), the review queue of the collection, on request only. Deleted with
 * the manifest.
 * Every such manifest is here. One that is here is looked at again before it goes: its subject may have been pushed later.
 */
export interface UnneededManifestsTable {
  manifest_id: number
  /** ISO time since when it is so; a push of it moves it. */
  since: string
}
