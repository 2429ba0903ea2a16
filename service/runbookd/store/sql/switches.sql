-- name: switch
-- The value of a switch.
SELECT value FROM switches WHERE name = :name

-- name: switches_beginning
-- Every switch that is set and whose name begins so.
SELECT name, value FROM switches WHERE substr(name, 1, length(:prefix)) = :prefix ORDER BY name

-- name: set_switch
-- Set a switch.
INSERT INTO switches (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: unset_switch
-- Remove a switch.
DELETE FROM switches WHERE name = :name
