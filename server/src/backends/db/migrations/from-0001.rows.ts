/** For the tests of migrations: what a database held in the time of the first one, as SQLite spells it. */

export const first = '0001-registry-core'

/** A row at least in every table that the first migration makes. */
export const oldRows = `
  insert into registries values (7, 'berth', 'Premium', 1, 0, 1, '2026-01-01T00:00:00.000Z');
  insert into registry_passwords values (7, 'password', x'00ff', '2026-01-01T00:00:01.000Z');
  insert into repositories values (3, 7, 'library/alpine', 1, '2026-01-01T00:00:02.000Z', '2026-01-01T00:00:03.000Z');
  insert into manifests values (5, 3, 'sha256:a', 'application/vnd.oci.image.manifest.v1+json', 2, 1099511627776,
    'application/x', 'application/y', 'amd64', 'linux', 'sha256:s', '{"a":"b"}', 'then', 'later', x'7b7d');
  insert into manifest_references values (5, 'layer', 'sha256:b'), (5, 'config', 'sha256:c');
  insert into repositories values (4, 7, 'library/busybox', 4, 'then', 'later');
  insert into manifests values
    (8, 4, 'sha256:w', 'm', 3, 3, null, null, null, null, 'sha256:gone', null, 'then', 'later', x'7b207d'),
    (9, 4, 'sha256:y', 'm', 4, 4, null, null, null, null, null, null, 'then', 'later', x'7b20207d'),
    (10, 4, 'sha256:i', 'm', 4, 4, null, null, null, null, null, null, 'then', 'later', x'7b20207d'),
    (11, 4, 'sha256:r', 'm', 5, 5, null, null, null, null, 'sha256:i', null, 'then', 'later', x'7b2020207d');
  insert into manifest_references values (8, 'layer', 'sha256:e'), (9, 'layer', 'sha256:x'), (10, 'child', 'sha256:y');
  insert into tags values (3, 'latest', 5, 'then', 'later'), (4, 'all', 10, 'then', 'later');
  insert into blobs values ('sha256:b', 1099511627776, 'then'), ('sha256:e', 50, 'earlier'), ('sha256:z', 1, 'then');
  insert into repository_blobs values
    (3, 'sha256:b', 'then'), (4, 'sha256:b', 'then'), (4, 'sha256:e', 'then');
  insert into upload_sessions values ('u', 7, 'library/alpine', 's', 12, 'sha256:d', 'w', 'until', 'then', 'later');
  insert into signing_keys values ('k', 'RS256', '{}', x'01', 'then', 'later', 'at last');
  insert into login_failures values ('account:a', 3, 'then');`
