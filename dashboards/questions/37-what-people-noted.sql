-- What did people note about devices and days?
SELECT annotation.first_day, annotation.last_day, device.name AS device, annotation.text, annotation.who
FROM annotation
LEFT JOIN device ON device.id = annotation.device_id
ORDER BY annotation.first_day, annotation.id;
