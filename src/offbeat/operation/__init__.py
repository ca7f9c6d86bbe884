"""What runs every few minutes after training: new scores and alarms in a store, notifications, recalibration."""
