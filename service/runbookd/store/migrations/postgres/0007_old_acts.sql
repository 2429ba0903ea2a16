-- What people have done is forgotten by age.
CREATE INDEX acts_by_time ON acts (done_at, key);
